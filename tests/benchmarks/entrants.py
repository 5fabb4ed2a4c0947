"""The processes of a contestant: started, given the word, asked for their figures, ended."""

import json
import math
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from tests.benchmarks.peers import REPOSITORY
from tests.support.mock_world import Figures, MockWorld

ENDING: Final = 120.0
"""Seconds that a contestant may take for its last messages."""

_NOT_INHERITED: Final = ("TRIOQUEUE_", "OPENROUTER_", "PG", "PYTHONDONTWRITEBYTECODE")


class ContestantFailed(Exception):
    """It ended before its work was done, or did not do it."""


@attrs.frozen(eq=False)
class Entrant:
    """A contestant's process."""

    process: trio.Process
    _errors: Path

    async def begin(self) -> None:
        """Give it the word."""
        await self._tell(b"b")

    async def figures(self) -> dict[str, Any]:
        """Its CPU in seconds, its memory in bytes and whether it is done, as they are now."""
        await self._tell(b"?")
        figures: dict[str, Any] = json.loads(await self.line())
        return figures

    async def line(self) -> bytes:
        """What it tells next."""
        told = b""
        while not told.endswith(b"\n"):
            assert self.process.stdout is not None
            piece = await self.process.stdout.receive_some()
            if not piece:
                raise self.failure()
            told += piece
        return told

    async def _tell(self, byte: bytes) -> None:
        assert self.process.stdin is not None
        try:
            await self.process.stdin.send_all(byte)
        except trio.BrokenResourceError:
            raise self.failure() from None

    async def fail_if_ends(self) -> None:
        """Wait for its end, which must not come yet."""
        await self.process.wait()
        raise self.failure()

    async def end(self) -> None:
        """Wait for its end, which must be a success."""
        assert self.process.stdin is not None
        await self.process.stdin.aclose()
        with trio.move_on_after(ENDING):
            while self.process.stdout is not None and await self.process.stdout.receive_some():
                pass
            if await self.process.wait():
                raise self.failure()

    def failure(self) -> ContestantFailed:
        """What it said before it failed."""
        return ContestantFailed(self._errors.read_text(encoding="utf-8", errors="replace")[-4_000:])


def environment(database: str, world: str) -> dict[str, str]:
    """The environment of a contestant: nothing of the user's settings, no proxies; compiled modules are kept."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not (name.startswith(_NOT_INHERITED) or name.lower().endswith("_proxy"))
    }
    return kept | {
        "PYTHONPATH": str(REPOSITORY),
        "TRIOQUEUE_DATABASE_URL": database,
        "TRIOQUEUE_OPENROUTER_URL": world,
        "OPENROUTER_API_KEY": "key",
        "TRIOQUEUE_GATEWAY_URL": f"{world}/send",
        "TRIOQUEUE_GATEWAY_KEY": "key",
    }


@asynccontextmanager
async def started(command: Sequence[str], variables: dict[str, str]) -> AsyncIterator[Entrant]:
    """A process that is loaded and waits for the word; killed at the end of the block if it has not ended."""
    with tempfile.TemporaryDirectory() as directory:
        errors = Path(directory) / "errors"
        with errors.open("wb") as file:
            process = await trio.lowlevel.open_process(
                list(command), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, env=variables, cwd=directory
            )
        try:
            entrant = Entrant(process, errors)
            await entrant.line()
            yield entrant
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


@asynccontextmanager
async def entered(command: Sequence[str], variables: dict[str, str], processes: int) -> AsyncIterator[list[Entrant]]:
    """Several of the same."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(started(command, variables)) for _ in range(processes)]


@attrs.frozen
class Moment:
    """What the world and the contestant's processes had used when something was reached.

    Attributes:
        world: The world's figures.
        cpu: Seconds of CPU of all processes.
        rss: Bytes of memory of all processes.
        done: Whether a process has nothing left to do.
    """

    world: Figures
    cpu: float
    rss: int
    done: bool

    @property
    def calls(self) -> int:
        """Calls that had been answered."""
        return self.world.answered


async def reached(world: MockWorld, entrants: Sequence[Entrant], calls: int, most: float = math.inf) -> Moment:
    """When so many calls have been answered, or after at most so many seconds.

    Raises:
        ContestantFailed: A process ended before.
    """
    figures: list[Figures] = []

    async def watch(scope: trio.CancelScope) -> None:
        with trio.move_on_after(most):
            figures.append(await world.figures(after=calls))
        scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, nursery.cancel_scope)
        for entrant in entrants:
            nursery.start_soon(entrant.fail_if_ends)
    told = [await entrant.figures() for entrant in entrants]
    now = figures[0] if figures else await world.figures()
    cpu, rss, done = ([each[name] for each in told] for name in ("cpu", "rss", "done"))
    return Moment(now, sum(cpu), sum(rss), any(done))
