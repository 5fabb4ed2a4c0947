"""What a mode of `scripts/benchmark` is, and what its arguments and its output share with those of the others.

A mode is one file with one `MODE`; `command.py` lists them.
"""

import argparse
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import attrs


@attrs.frozen
class Mode:
    """Something that can be measured.

    Attributes:
        name: Its name on the command line.
        help: What it measures, in a sentence.
        add_arguments: Adds its arguments to a parser; `--json` is there already.
        run: Measures and prints, for people or, with `--json`, for programs.
    """

    name: str
    help: str
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], Awaitable[None]]


def at_least_one(text: str) -> int:
    """An argument that counts something."""
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return value


def numbers(text: str) -> list[int]:
    """An argument such as 5,100,500."""
    return [at_least_one(part) for part in text.split(",")]


def seconds(text: str) -> float:
    """An argument in seconds."""
    if not 0 <= (value := float(text)) < 3600:
        raise argparse.ArgumentTypeError(f"{text} is not a time in seconds")
    return value


def say(text: str) -> None:
    """Print what was measured."""
    print(text, flush=True)


def say_json(figures: Any) -> None:
    """Print what was measured for programs."""
    say(json.dumps(figures, indent=2))


def say_progress(text: str) -> None:
    """Tell who waits how far it is."""
    print(text, file=sys.stderr, flush=True)
