"""The standard streams as they come: closed, full, without a reader, or in an encoding that lacks a character."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from trioqueue.domain.errors import TrioqueueError


class OutputLost(TrioqueueError):
    """Standard output cannot be written; what the command did stands in the database."""


class ReaderGone(Exception):
    """Who reads standard output wants no more of it, as `head` does."""


def prepare_streams() -> None:
    """Make sure that there are standard streams, and that a character that one of them lacks is no error.

    A stream that the caller closed is None, and its number would be given to the next file or socket.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - open until the end
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


@contextmanager
def written() -> Iterator[None]:
    """A block that writes to standard output.

    Raises:
        ReaderGone: Nobody reads it any more.
        OutputLost: It cannot be written.
    """
    try:
        yield
    except BrokenPipeError:
        raise ReaderGone from None
    except OSError as error:
        forget_output()
        raise OutputLost(f"cannot write to standard output: {error.strerror}") from None


def forget_output() -> None:
    """Write to nowhere from now on: what is still buffered would fail once more when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
