"""One contestant's run, measured from outside.

From when its slots have been filled twice until as many messages are left as it has slots: in between no slot is empty
for want of messages, and nothing of starting or ending is counted. The world says when that is by the calls it has
answered; the contestant's process tells its own CPU and memory at both moments. One that is slow is not waited for: it
is measured for as long as `LONGEST` says, and then killed.
"""

from collections.abc import Sequence
from typing import Final

import attrs
import psycopg
import trio

from tests.benchmarks.contestants import Contestant
from tests.benchmarks.course import Course
from tests.benchmarks.entrants import ContestantFailed, entered, environment, reached
from tests.benchmarks.orders import Order
from tests.support.mock_world import MockWorld, mock_world

CALLS: Final = 4
"""Calls of a message: two of the model, two of the gateway."""

LONGEST: Final = 15.0
"""Seconds after which a contestant that has not come as far is taken as it is: filling its slots, and then measured."""


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

    @property
    def ideal_seconds(self) -> float:
        """What it takes one process that costs nothing."""
        return self.messages * CALLS * self.latency / self.in_flight


@attrs.frozen
class Outcome:
    """What it did.

    Attributes:
        calls_per_second: Its throughput.
        share_of_ideal: The same as a share of that of slots that are never empty and cost nothing: in flight divided by
            the latency that the world itself measured.
        cpu_ms: Milliseconds of CPU of its process (or processes) for a message.
        transactions: Transactions for a message, of the whole run.
        rss_mb: Megabytes of memory at the end, of each process.
        postgres_ms: Milliseconds of CPU of PostgreSQL for a message, of the whole run; None where that is not known.
        world_busy: The share of a core that the world used: at 1 it would be what is measured.
        http: What requests were made with.
        finished: Whether it sent everything; otherwise it was killed when it had been measured.
    """

    calls_per_second: float
    share_of_ideal: float
    cpu_ms: float
    transactions: float
    rss_mb: float
    postgres_ms: float | None
    world_busy: float
    http: str = ""
    finished: bool = True


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
    async with entered(command, environment(order.database, world.url), processes) as entrants:
        before, postgres_before = course.transactions(order.database), course.cpu()
        for entrant in entrants:
            await entrant.begin()
        slots = conditions.in_flight * processes
        longest = max(LONGEST, 1.5 * conditions.ideal_seconds / processes)
        start = await reached(world, entrants, CALLS * 2 * slots, longest)
        stop = await reached(world, entrants, CALLS * (conditions.messages - slots), longest)
        finished = stop.calls >= CALLS * (conditions.messages - slots)
        if stop.done and not finished:
            raise ContestantFailed(f"it ended after {stop.calls} calls for {conditions.messages} messages")
        for entrant in entrants if finished else ():
            await entrant.end()
    await course.until_left(order.database)
    transactions, postgres_after = course.transactions(order.database) - before, course.cpu()
    messages = (await world.figures()).answered / CALLS
    if finished:
        check_sent(order.database, conditions.messages, messages)
    calls, seconds = stop.calls - start.calls, stop.world.at - start.world.at
    if not calls:
        raise ContestantFailed(f"no call was made in {seconds:.0f} seconds")
    per_second = calls / seconds
    return Outcome(
        calls_per_second=per_second,
        share_of_ideal=per_second * (stop.world.seconds - start.world.seconds) / calls / slots,
        cpu_ms=(stop.cpu - start.cpu) / calls * CALLS * 1000,
        transactions=transactions / messages,
        rss_mb=stop.rss / 1e6 / processes,
        postgres_ms=None
        if postgres_before is None or postgres_after is None
        else (postgres_after - postgres_before) / messages * 1000,
        world_busy=(stop.world.cpu - start.world.cpu) / seconds,
        http=order.http,
        finished=finished,
    )


def check_sent(url: str, messages: int, called: float) -> None:
    """Hold the database, and the calls that the world answered, against what was to be sent once.

    Args:
        url: The database.
        messages: How many were due.
        called: For how many the world was called.

    Raises:
        ContestantFailed: Not every message and second part is recorded as sent, or calls were made more than once.
    """
    sql = """
        select count(*) filter (where m.status = 'sent'), count(p.*) filter (where p.status = 'sent')
        from trioqueue.campaign_messages m
        left join trioqueue.campaign_message_parts p on p.message_id = m.id and p.part_no = 2
    """
    with psycopg.connect(url) as connection:
        row = connection.execute(sql).fetchone()
    if row != (messages, messages) or called != messages:
        raise ContestantFailed(
            f"of {messages} messages and second parts, {row} were sent; calls were made for {called:g}"
        )
