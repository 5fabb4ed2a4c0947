"""The deliveries on disk: one JSON object a line, synced before the gateway answers.

After a crash of anything, this file is the truth about what reached the leads.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO, Final

import attrs
import orjson

from trioqueue.simulator.errors import SimulatorError

_BEGINNING: Final = b'{"number":'
"""How every line begins: what a crash has cut is told from what somebody else has written."""


@attrs.frozen
class Delivery:
    """A part that the gateway took over, which is to say that the lead has it.

    Attributes:
        number: In which order it arrived, from 1.
        conversation_id: Whom it went to.
        text: What the lead reads.
        idempotency_key: As the request named it; None when it did not.
        provider_id: The gateway's id of it.
    """

    number: int
    conversation_id: str
    text: str
    idempotency_key: str | None
    provider_id: str


def read_deliveries(path: Path) -> list[Delivery]:
    """The deliveries of a file. A last line that was cut by a crash was never answered, and is left out.

    Raises:
        SimulatorError: The file cannot be read or holds something else.
    """
    try:
        *lines, rest = path.read_bytes().split(b"\n")
        deliveries = [Delivery(**orjson.loads(line)) for line in lines]
    except (OSError, orjson.JSONDecodeError, TypeError) as error:
        raise _unreadable(path, str(error)) from error
    if not rest.startswith(_BEGINNING) and not _BEGINNING.startswith(rest):
        raise _unreadable(path, "its last line is something else")
    return deliveries


def _unreadable(path: Path, reason: str) -> SimulatorError:
    return SimulatorError(f"{path} cannot be read as deliveries ({reason}); name another file or move this one away")


class DeliveriesFile:
    """Appends deliveries to a file."""

    def __init__(self, path: Path) -> None:
        """Open the file, made when it is not there; a line cut by a crash is taken off.

        Raises:
            SimulatorError: The file cannot be opened or holds something else.
        """
        try:
            path.touch()
            self.earlier: Sequence[Delivery] = read_deliveries(path)
            self._file: BinaryIO = path.open("ab")
            self._file.truncate(path.read_bytes().rfind(b"\n") + 1)
        except OSError as error:
            msg = f"{path} cannot be opened for deliveries ({error}); name a file that can be written"
            raise SimulatorError(msg) from error

    def append(self, delivery: Delivery) -> None:
        """Write one delivery; it is on disk when this returns."""
        self._file.write(orjson.dumps(attrs.asdict(delivery)) + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file."""
        self._file.close()
