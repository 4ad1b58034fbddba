# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Declares a table of parameters on a node, reads and checks them there."""

from __future__ import annotations

from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node

from night_seg_ros.nodes.parameters import Parameter, Parameters, check_value, convert_value


def declare_parameters(node: Node, parameters: Parameters) -> None:
    """Declare all of them, with the values that the node was given.

    Raises:
        ValueError: a value is of a wrong type or not within its limits; choices and checks are not looked at.
    """
    for name, parameter in parameters.items():
        # Without limits at first: rclpy would refuse the value in words of its own.
        free = ParameterDescriptor(dynamic_typing=True)
        node.declare_parameter(name, parameter.default, free, ignore_override=parameter.when == "never")
        read_parameter(node, parameters, name)
        node.set_descriptor(name, _descriptor(parameter))


def read_parameter(node: Node, parameters: Parameters, name: str) -> Any:
    """The value of a declared parameter, in its own type.

    Raises:
        ValueError: see ``convert_value``.
    """
    return convert_value(parameters, name, node.get_parameter(name).value)


def check_parameters(node: Node, parameters: Parameters) -> dict[str, Any]:
    """The values of all of them, by name, each in its own type.

    Raises:
        ValueError: see ``check_value``.
    """
    return {name: check_value(parameters, name, node.get_parameter(name).value) for name in parameters}


def _descriptor(parameter: Parameter) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(
        description=parameter.description,
        read_only=parameter.when in ("start", "never"),
        # rclpy would refuse 1 for 1.0, and take an empty list for one of bytes: the table checks types.
        dynamic_typing=True,
    )
    if parameter.choices:
        descriptor.additional_constraints = f"one of {', '.join(parameter.choices)}"
    if parameter.limits:
        low, high = parameter.limits
        if isinstance(parameter.default, int):
            descriptor.integer_range = [IntegerRange(from_value=int(low), to_value=int(high))]
        else:
            descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    return descriptor
