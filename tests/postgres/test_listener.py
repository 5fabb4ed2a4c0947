"""The listener wakes for every notification, and for every doubt whether there was one."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from typing import Any, Never

import pytest
import structlog.testing
import trio
from hypothesis import given
from hypothesis import strategies as st
from psycopg import AsyncCursor
from structlog.typing import EventDict

from tests.support.backends import PATIENCE, proxied, until
from trioqueue.postgres import connection as connection_module
from trioqueue.postgres.connect import connect
from trioqueue.postgres.connection import TrioConnection
from trioqueue.postgres.errors import DatabaseUnavailable, InvalidConninfo
from trioqueue.postgres.listener import LONGEST_PAUSE, listen, reconnect_pause

CHANNEL = "Due messages"
CHANNELS = [CHANNEL, "more of them"]


class Alarm:
    """Counts how often it was rung, lets a test wait for that, and keeps what was logged meanwhile."""

    def __init__(self, logs: list[EventDict]) -> None:
        self.count = 0
        self.logs = logs
        self._changed = trio.Event()

    def __call__(self) -> None:
        self.count += 1
        self._changed.set()
        self._changed = trio.Event()

    async def wait_for(self, count: int) -> None:
        """Wait until it has been rung so often."""
        with trio.fail_after(PATIENCE):
            while self.count < count:
                await self._changed.wait()


@asynccontextmanager
async def listening(run: Callable[[Callable[[], object]], Any]) -> AsyncIterator[Alarm]:
    """Run a listener for a block, and begin the block when it listens for the first time."""
    with structlog.testing.capture_logs() as logs:
        alarm = Alarm(logs)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, alarm)
            await alarm.wait_for(1)
            yield alarm
            nursery.cancel_scope.cancel()


@pytest.fixture
async def observer(database_url: str) -> AsyncIterator[TrioConnection]:
    """A connection to notify from."""
    async with await connect(database_url) as opened:
        yield opened


async def terminate_listener(observer: TrioConnection) -> None:
    """Have the server end the listener's backend."""
    await observer.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'listener'")


async def test_notified(observer: TrioConnection, database_url: str) -> None:
    """Every notification of a channel that is listened to wakes; others do not."""
    async with listening(partial(listen, partial(connect, database_url), CHANNELS)) as alarm:
        await observer.execute("select pg_notify('other', '')")
        for n in range(2, 6):
            await observer.execute("select pg_notify(%s, '')", [CHANNELS[n % 2]])
            await alarm.wait_for(n)

        assert alarm.count == 5


async def test_notified_during_a_probe(observer: TrioConnection, database_url: str) -> None:
    """A notification that arrives while the listener asks the server something is not lost."""
    probing = partial(listen, partial(connect, database_url), CHANNELS, probe_interval=0)
    async with listening(probing) as alarm:
        for n in range(2, 50):
            await observer.execute("select pg_notify(%s, %s)", [CHANNEL, str(n)])
        await alarm.wait_for(49)

        assert alarm.count == 49


async def test_connection_lost(observer: TrioConnection, database_url: str) -> None:
    """A listener whose connection is lost connects again, and wakes for what it may have missed."""
    connector = partial(connect, database_url, application_name="listener")
    async with listening(partial(listen, connector, CHANNELS)) as alarm:
        await terminate_listener(observer)
        await alarm.wait_for(2)
        await observer.execute("select pg_notify(%s, '')", [CHANNEL])
        await alarm.wait_for(3)

        assert alarm.count == 3


async def test_connection_lost_after_a_probe(observer: TrioConnection, database_url: str) -> None:
    """A connection that stood a probe and is lost is replaced at once, however many were lost before."""
    connector = partial(connect, database_url, application_name="listener")
    async with listening(partial(listen, connector, CHANNELS, probe_interval=0)) as alarm:
        for n in (2, 3):
            await until(
                observer,
                "select exists (select from pg_stat_activity "
                "where application_name = 'listener' and query like '%%pg_listening_channels%%' and state = 'idle')",
            )
            await terminate_listener(observer)
            await alarm.wait_for(n)

        assert [entry["pause"] for entry in alarm.logs] == [0.0, 0.0]


class Forgetful(TrioConnection):
    """A connection whose session forgets what it listens to, as behind a pooler."""

    async def execute(self, *args: Any, **kwargs: Any) -> AsyncCursor[tuple[Any, ...]]:
        """Execute a statement and forget every channel."""
        cursor = await super().execute(*args, **kwargs)
        await super().execute("unlisten *")
        return cursor


async def test_silently_deaf(database_url: str) -> None:
    """A session that does not listen any more is noticed by a probe."""
    connections = [await Forgetful.connect(database_url, autocommit=True), await connect(database_url)]

    async def next_connection() -> TrioConnection:
        return connections.pop(0)

    async with listening(partial(listen, next_connection, CHANNELS, probe_interval=0.01)) as alarm:
        await alarm.wait_for(2)

        assert not connections


async def test_silent_server(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection whose server does not answer to a probe is given up."""
    monkeypatch.setattr(connection_module, "CLEANUP_SECONDS", 0.05)
    async with proxied(database_url) as proxy:
        urls = [proxy.url, database_url]

        async def next_connection() -> TrioConnection:
            return await connect(urls.pop(0))

        async with listening(partial(listen, next_connection, CHANNELS, probe_interval=0, probe_timeout=0.05)) as alarm:
            proxy.silent = True
            await alarm.wait_for(2)

        assert not urls


async def test_server_away(autojump_clock: trio.testing.MockClock) -> None:
    """While the server is away, attempts to connect become rare."""
    attempts: list[float] = []

    async def refuse() -> Never:
        attempts.append(trio.current_time())
        raise DatabaseUnavailable("away")

    with structlog.testing.capture_logs() as logs, trio.move_on_after(600):
        await listen(refuse, CHANNELS, lambda: None)
    pauses = [later - earlier for earlier, later in pairwise(attempts)]

    assert pauses[0] == 0
    assert 0.5 <= pauses[1] <= 1
    assert all(LONGEST_PAUSE / 2 <= pause <= LONGEST_PAUSE for pause in pauses[6:])
    assert {entry["log_level"] for entry in logs} == {"warning"}


async def test_malformed_conninfo() -> None:
    """A connection string that can never work is not tried again."""
    with pytest.raises(InvalidConninfo):
        await listen(partial(connect, "nonsense"), CHANNELS, lambda: None)


@given(failures=st.integers(0, 10**6), jitter=st.floats(0, 1))
def test_reconnect_pause(failures: int, jitter: float) -> None:
    """Pauses begin at nothing, grow, and stay within their bound."""
    pause = reconnect_pause(failures, jitter)

    assert (pause == 0) == (failures == 0)
    assert pause <= LONGEST_PAUSE
    assert pause <= reconnect_pause(failures + 1, 0)
