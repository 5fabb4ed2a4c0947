"""Every await of trioqueue as a point at which a process may die: found in its source, met while it runs.

A point is a side, before or after, of an expression or statement that awaits, at one of the times that it is reached.
Nobody lists them: what is awaited stands in the syntax tree, and when it is reached the interpreter tells. What was
committed, written to a socket or read from it between two points is what the next process finds.
"""

import ast
import dis
import sys
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any, Final

import attrs

PACKAGE: Final = Path(__file__).parents[3] / "trioqueue"
"""Whose awaits are meant."""


@attrs.frozen
class Point:
    """One moment in the work of a process.

    Attributes:
        file: The file, within the package.
        line: Where what awaits begins.
        side: before or after.
        time: Which time it is reached, from 1.
    """

    file: str
    line: int
    side: str
    time: int

    def __str__(self) -> str:
        source = (PACKAGE / self.file).read_text(encoding="utf-8").splitlines()[self.line - 1].strip()
        return f"{self.side} {self.file}:{self.line} ({self.time}): {source}"


def awaiting_lines(source: str) -> dict[int, int]:
    """The lines of a file that belong to something that awaits, each with the line at which that begins."""
    spans = sorted(_span(node) for node in ast.walk(ast.parse(source)) if _awaits(node))
    lines: dict[int, int] = {}
    for first, last in spans:
        begins = lines.get(first, first)
        lines |= {line: lines.get(line, begins) for line in range(first, last + 1)}
    return lines


def _awaits(node: ast.AST) -> bool:
    return isinstance(node, ast.Await | ast.AsyncWith | ast.AsyncFor)


def _span(node: ast.AST) -> tuple[int, int]:
    match node:
        case ast.AsyncWith(lineno=first, items=items):
            return first, max(item.context_expr.end_lineno or first for item in items)
        case ast.AsyncFor(lineno=first, iter=source):
            return first, source.end_lineno or first
        case ast.Await(lineno=first, end_lineno=last):
            return first, last or first
        case _:
            raise AssertionError(f"{node} does not await")


@cache
def _awaiting_lines_of(filename: str) -> dict[int, int]:
    return awaiting_lines(Path(filename).read_text(encoding="utf-8"))


class Watch:
    """Tells of every point that this thread meets.

    Args:
        meet: Called with each point, at that point.
    """

    def __init__(self, meet: Callable[[Point], None]) -> None:
        self._meet = meet
        self._times: Counter[tuple[str, int, str]] = Counter()
        self._inside: dict[FrameType, int] = {}
        self._root = f"{PACKAGE}/"

    def begin(self) -> None:
        """Begin to watch; frames that have been entered before are not seen."""
        sys.settrace(self._trace)

    def end(self) -> None:
        """Watch no longer."""
        sys.settrace(None)

    def _trace(self, frame: FrameType, event: str, argument: Any) -> Any:  # noqa: ARG002 - what sys.settrace gives
        if not frame.f_code.co_filename.startswith(self._root):
            return None
        return self._trace_inside if frame.f_code.co_flags & _ASYNC else None

    def _trace_inside(self, frame: FrameType, event: str, argument: Any) -> Any:  # noqa: ARG002 - as above
        if event == "line":
            self._at(frame, _awaiting_lines_of(frame.f_code.co_filename).get(frame.f_lineno))
        elif event == "return" and not _is_suspended(frame):
            self._at(frame, None)
        return self._trace_inside

    def _at(self, frame: FrameType, line: int | None) -> None:
        """What awaits and begins at `line` is where this frame is now; None for nothing."""
        before = self._inside.get(frame)
        if before == line:
            return
        self._inside.pop(frame, None)
        if before is not None:
            self._tell(frame, before, "after")
        if line is not None:
            self._inside[frame] = line
            self._tell(frame, line, "before")

    def _tell(self, frame: FrameType, line: int, side: str) -> None:
        file = frame.f_code.co_filename.removeprefix(self._root)
        self._times[file, line, side] += 1
        self._meet(Point(file, line, side, self._times[file, line, side]))


_ASYNC: Final = 0x0080 | 0x0200  # CO_COROUTINE and CO_ASYNC_GENERATOR of the inspect module


def _is_suspended(frame: FrameType) -> bool:
    """Whether a frame that returns only waits, or gives out a value, and will be gone on with."""
    return dis.opname[frame.f_code.co_code[frame.f_lasti]] == "YIELD_VALUE"
