"""How commands say what came of them: lines for people, one JSON object for programs.

What cannot be written raises what trioqueue/cli/streams.py says.
"""

import sys
from typing import Any, Final, NoReturn

import orjson
from rich.console import Console, RenderableType
from rich.markup import escape

from trioqueue.cli.streams import ReaderGone, written

LINE_OF_A_FILE: Final = 200
"""Columns where standard output is no terminal: an id that is folded is no use to a program."""


class Output(Console):
    """A console of rich whose faults are those of trioqueue/cli/streams.py."""

    def print(self, *objects: Any, **options: Any) -> None:
        """Print as rich does."""
        with written():
            super().print(*objects, **options)

    def on_broken_pipe(self) -> NoReturn:
        """Raise what becomes the exit code, instead of rich's own."""
        raise ReaderGone


console = Output(highlight=False, width=None if sys.stdout.isatty() else LINE_OF_A_FILE)
"""Standard output; plain text where it is no terminal."""


_CONTROL_CHARACTERS: Final = dict.fromkeys((*range(32), *range(127, 160)), "\N{REPLACEMENT CHARACTER}") | {10: "\n"}


def plain(text: str) -> str:
    """A text of others as markup that shows it: nothing in it is markup, or moves the cursor of a terminal."""
    return escape(text.translate(_CONTROL_CHARACTERS))


def show(renderable: RenderableType) -> None:
    """Print a table, a panel or a text."""
    console.print(renderable)


def say(text: str) -> None:
    """Print a line as it is: what stands in it may come from a lead or from a model."""
    console.print(plain(text), soft_wrap=True)


def say_json(value: object) -> None:
    """Print one JSON object."""
    with written():
        sys.stdout.buffer.write(
            orjson.dumps(value, default=str, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_INDENT_2)
        )
        sys.stdout.flush()


def warn(text: str) -> None:
    """Print a line to standard error."""
    print(text, file=sys.stderr)  # noqa: T201 - this is the command line
