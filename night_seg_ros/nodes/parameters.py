# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""What the parameters of a node have in common: a table says what they may be, and every check reads it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Value = str | bool | int | float | list[str] | list[int]

# What to give for a parameter whose default is of this type; what a list may be, its check says.
_WANTED: dict[type, str] = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}


@dataclass(frozen=True)
class Parameter:
    """One parameter.

    Attributes:
        default: its value where nobody gives one; its type is the parameter's type.
        description: what it does.
        choices: the values that a text may have; empty: any.
        limits: smallest and largest value of a number; every float has them.
        also: further types that it may be given in, and is made of; a float takes whole numbers anyway.
        check: called with a value that is right in all else; raises a ValueError that says what is wrong.
        when: from when on a change counts: ``now``; the next ``configure``; the next ``start`` of the node;
            ``never``, since it only tells something.
    """

    default: Value
    description: str
    choices: tuple[str, ...] = ()
    limits: tuple[float, float] | None = None
    also: tuple[type, ...] = ()
    check: Callable[[Any], object] | None = None
    when: str = "configure"


Parameters = Mapping[str, Parameter]
"""The parameters of a node by name."""


def convert_value(parameters: Parameters, name: str, value: Any) -> Any:
    """The value in the parameter's own type.

    Raises:
        ValueError: it is of another type, or not within the limits.
    """
    parameter = parameters[name]
    kind = type(parameter.default)
    if kind not in _WANTED:
        return value
    wanted = _WANTED[kind]
    fits = type(value) in (kind, *parameter.also) or (kind is float and type(value) is int)
    if parameter.limits is not None:
        low, high = parameter.limits
        wanted += f" from {low:g} to {high:g}"
        fits = fits and low <= value <= high
    if not fits:
        raise ValueError(f"{name} is {value!r}: give {wanted}")
    return kind(value)


def check_value(parameters: Parameters, name: str, value: Any) -> Any:
    """The value in the parameter's own type, if it is right in all.

    Raises:
        ValueError: the parameter can't have this value.
    """
    parameter = parameters[name]
    value = convert_value(parameters, name, value)
    if parameter.choices and value not in parameter.choices:
        raise ValueError(f"{name} is {value!r}: give one of {', '.join(parameter.choices)}")
    if parameter.check is not None:
        parameter.check(value)
    return value
