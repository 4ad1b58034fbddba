# Copyright 2026 night_seg_ros maintainers
# SPDX-License-Identifier: Apache-2.0

"""Finds a command among others, and tells what is wrong with a user's input in one line."""

from __future__ import annotations

import importlib
import sys


def run_command(program: str, commands: dict[str, tuple[str, str]], argv: list[str]) -> int:
    """Hand over to the module of a command.

    Args:
        program: what the user typed before the command.
        commands: module of this package, which has ``main(argv) -> exit status``, and help by name.
        argv: the command's name and its arguments.

    Returns:
        The exit status.
    """
    if not argv or argv[0] in ("-h", "--help"):
        print(_usage(program, commands))
        return 0 if argv else 2
    name, *rest = argv
    if name not in commands:
        print(f"{program}: unknown command {name!r}\n\n{_usage(program, commands)}", file=sys.stderr)
        return 2
    try:
        return int(importlib.import_module(f"night_seg_ros.{commands[name][0]}").main(rest))
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("night_seg_ros"):
            raise
        print(
            f"{program} {name}: the Python package {error.name!r} is missing; "
            "install it with: pip install '.[ros,train]' in its checkout",
            file=sys.stderr,
        )
        return 1
    except KeyboardInterrupt:
        return 130
    except (OSError, ValueError) as error:  # what is wrong with the user's input, in one line
        print(f"{program} {name}: {error}", file=sys.stderr)
        return 1


def _usage(program: str, commands: dict[str, tuple[str, str]]) -> str:
    lines = [f"usage: {program} COMMAND ...", "", "commands:"]
    lines += [f"  {name:<16}{help_text}" for name, (_, help_text) in commands.items()]
    return "\n".join([*lines, "", f"{program} COMMAND --help tells more."])
