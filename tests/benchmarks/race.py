"""One contestant's run, measured from outside.

From when its slots have been filled twice until as many messages are left as it has slots: in between no slot is empty
for want of messages, and nothing of starting or ending is counted. The world says when that is by the calls it has
answered; the contestant's process tells its own CPU and memory at both moments.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, Final

import attrs
import psycopg
import trio

from tests.benchmarks.contestants import Contestant
from tests.benchmarks.course import Course
from tests.benchmarks.orders import Order
from tests.benchmarks.peers import REPOSITORY
from tests.support.mock_world import Figures, MockWorld, mock_world

CALLS: Final = 4
"""Calls of a message: two of the model, two of the gateway."""

ENDING: Final = 120.0
"""Seconds that a contestant may take for its last messages."""


class ContestantFailed(Exception):
    """It ended before its work was done, or did not do it."""


@attrs.frozen
class Conditions:
    """What a contestant is to do.

    Attributes:
        messages: How many are due.
        in_flight: How many it has at once.
        latency: Seconds of every call.
        spread: Seconds by which a call is shorter or longer, evenly.
    """

    messages: int
    in_flight: int
    latency: float
    spread: float = 0.0


@attrs.frozen
class Outcome:
    """What it did.

    Attributes:
        calls_per_second: Its throughput.
        share_of_ideal: The same as a share of that of slots that are never empty and cost nothing: in flight divided by
            the latency that the world itself measured.
        cpu_ms: Milliseconds of CPU of its process (or processes) for a message.
        transactions: Transactions for a message, of the whole run.
        rss_mb: Megabytes of memory at the end.
        postgres_ms: Milliseconds of CPU of PostgreSQL for a message, of the whole run; None where that is not known.
        world_busy: The share of a core that the world used: at 1 it would be what is measured.
        http: What requests were made with.
    """

    calls_per_second: float
    share_of_ideal: float
    cpu_ms: float
    transactions: float
    rss_mb: float
    postgres_ms: float | None
    world_busy: float
    http: str = ""


@attrs.frozen(eq=False)
class Entrant:
    """A contestant's process."""

    process: trio.Process
    _errors: Path

    async def begin(self) -> None:
        """Give it the word."""
        await self._tell(b"b")

    async def figures(self) -> dict[str, Any]:
        """Its CPU in seconds and its memory in bytes, as they are now."""
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
        with trio.move_on_after(ENDING):
            while self.process.stdout is not None and await self.process.stdout.receive_some():
                pass
            if await self.process.wait():
                raise self.failure()

    def failure(self) -> ContestantFailed:
        """What it said before it failed."""
        return ContestantFailed(self._errors.read_text(encoding="utf-8", errors="replace")[-4_000:])


def environment(database: str, world: str) -> dict[str, str]:
    """The environment of a contestant: nothing of the user's settings, no proxies."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not (name.startswith(("TRIOQUEUE_", "OPENROUTER_", "PG")) or name.lower().endswith("_proxy"))
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


async def race(
    course: Course, contestant: Contestant, conditions: Conditions, http: str = "", processes: int = 1
) -> Outcome:
    """Let a contestant send everything that is due in a database of its own, in a world of its own.

    Raises:
        ContestantFailed: It did not.
    """
    template = await course.template(conditions.messages)
    async with mock_world(conditions.latency, conditions.spread) as world:
        with course.database(template) as url:
            order = Order(url, world.url, conditions.in_flight, http or contestant.https[0])
            command = [*contestant.command(), *order.arguments()]
            if contestant.is_peer:
                variables = environment(url, world.url)
                await trio.run_process([*command, "load"], env=variables, capture_stdout=True, capture_stderr=True)
            course.checkpoint()
            return await _measured(course, world, order, command, conditions, processes)


async def _measured(
    course: Course, world: MockWorld, order: Order, command: Sequence[str], conditions: Conditions, processes: int
) -> Outcome:
    async with AsyncExitStack() as stack:
        variables = environment(order.database, world.url)
        entrants = [await stack.enter_async_context(started(command, variables)) for _ in range(processes)]
        before, postgres_before = course.transactions(order.database), course.cpu()
        for entrant in entrants:
            await entrant.begin()
        slots = conditions.in_flight * processes
        start, cpu_before, _ = await _reached(world, entrants, CALLS * 2 * slots)
        stop, cpu_after, rss = await _reached(world, entrants, CALLS * (conditions.messages - slots))
        for entrant in entrants:
            await entrant.end()
    await course.until_left(order.database)
    transactions, postgres_after = course.transactions(order.database) - before, course.cpu()
    _check_sent(order.database, conditions.messages)
    calls, seconds = stop.answered - start.answered, stop.at - start.at
    per_second = calls / seconds
    return Outcome(
        calls_per_second=per_second,
        share_of_ideal=per_second * (stop.seconds - start.seconds) / calls / slots,
        cpu_ms=(cpu_after - cpu_before) / calls * CALLS * 1000,
        transactions=transactions / conditions.messages,
        rss_mb=rss / 1e6 / processes,
        postgres_ms=None
        if postgres_before is None or postgres_after is None
        else (postgres_after - postgres_before) / conditions.messages * 1000,
        world_busy=(stop.cpu - start.cpu) / seconds,
        http=order.http,
    )


async def _reached(world: MockWorld, entrants: Sequence[Entrant], calls: int) -> tuple[Figures, float, float]:
    """When so many calls have been answered: the world's figures, and the contestant's CPU and memory."""
    reached: list[Figures] = []

    async def watch(scope: trio.CancelScope) -> None:
        reached.append(await world.figures(after=calls))
        scope.cancel()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch, nursery.cancel_scope)
        for entrant in entrants:
            nursery.start_soon(entrant.fail_if_ends)
    told = [await entrant.figures() for entrant in entrants]
    return reached[0], sum(each["cpu"] for each in told), sum(each["rss"] for each in told)


def _check_sent(url: str, messages: int) -> None:
    sql = """
        select count(*) filter (where m.status = 'sent'), count(p.*) filter (where p.status = 'sent')
        from trioqueue.campaign_messages m
        left join trioqueue.campaign_message_parts p on p.message_id = m.id and p.part_no = 2
    """
    with psycopg.connect(url) as connection:
        row = connection.execute(sql).fetchone()
    if row != (messages, messages):
        raise ContestantFailed(f"of {messages} messages and second parts, {row} were sent")
