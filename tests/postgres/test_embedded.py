"""An embedded PostgreSQL starts, is shared, and stops, whatever its users do."""

import fcntl
import os
import shutil
import signal
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trio

from tests.support.embedded_users import Account, accounts, interrupt, is_gone, user_process, wait_until_unguarded
from trioqueue.postgres import programs
from trioqueue.postgres.embedded import EmbeddedPostgresError, EmbeddedServer, embedded_postgres, start
from trioqueue.postgres.folder import DataFolder, is_locked

FAST = {"fsync": "off"}

start_fast = partial(start, options=FAST)


def installed() -> Iterator[Path]:
    """Find every PostgreSQL there is: those that are looked for, and the older one in the same wheel."""
    for folder in dict.fromkeys(folder.resolve() for folder in programs._program_folders()):
        yield from (each for each in (folder, folder.parents[1] / "pginstall" / "bin") if each.exists())


INSTALLED = sorted(dict.fromkeys(installed()))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose server has run and stopped."""
    path = tmp_path_factory.mktemp("made") / "data"
    start_fast(path).stop()
    return path


@pytest.fixture
def data_dir(made: Path, tmp_path: Path) -> Path:
    """A copy of such a folder."""
    return Path(shutil.copytree(made, tmp_path / "data"))


@pytest.fixture
def open_dir() -> Iterator[Path]:
    """A folder that every account can reach."""
    with tempfile.TemporaryDirectory(dir="/tmp") as path:
        Path(path).chmod(0o755)
        yield Path(path)


def ask(url: str, question: str) -> object:
    """Return the one value that a query returns."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(question).fetchone()
        assert row is not None
        return row[0]


def do(url: str, statement: str) -> None:
    """Run a statement."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(statement)


def server_pid(data_dir: Path) -> int:
    """Return the number of the server's process."""
    return int((data_dir / "pgdata" / "postmaster.pid").read_text().split()[0])


def guard_pid(data_dir: Path) -> int:
    """Return the number of the guard's process."""
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (process / "cmdline").read_bytes()
            if b"guard.py" in command and os.fsencode(data_dir / "pgdata") in command:
                return int(process.name)
    raise AssertionError(f"nobody guards {data_dir}")


@pytest.mark.parametrize("bin_dir", INSTALLED, ids=lambda folder: "-".join(folder.parts[-3:-1]))
def test_data_survive_a_restart(bin_dir: Path, tmp_path: Path) -> None:
    """A folder is made at the first start and its data are there at the next, with every PostgreSQL installed."""
    server = start_fast(tmp_path, bin_dir=bin_dir)
    try:
        do(server.url, "create table kept as select 42 as value")
    finally:
        server.stop()
    pgdata_before = (tmp_path / "pgdata").stat().st_ino

    server = start_fast(tmp_path, bin_dir=bin_dir)
    try:
        assert ask(server.url, "select value from kept") == 42
    finally:
        server.stop()

    assert (tmp_path / "pgdata").stat().st_ino == pgdata_before


def test_commits_are_durable(tmp_path: Path) -> None:
    """Without options a commit waits for the disk."""
    server = start(tmp_path)
    try:
        settings = [ask(server.url, f"show {name}") for name in ("fsync", "synchronous_commit", "full_page_writes")]
    finally:
        server.stop()

    assert settings == ["on", "on", "on"]


def test_only_its_owner_reaches_the_server(data_dir: Path) -> None:
    """The server listens on a socket of mode 0700 in a folder of mode 0700, and on no network address."""
    server = start_fast(data_dir)
    try:
        modes = [stat.S_IMODE((data_dir / name).stat().st_mode) for name in ("socket", "socket/.s.PGSQL.5432")]
        addresses = ask(server.url, "show listen_addresses")
    finally:
        server.stop()

    assert modes == [0o700, 0o700]
    assert addresses == ""


def test_options_are_server_settings(data_dir: Path) -> None:
    """What the caller asks for goes over the default."""
    server = start(data_dir, options={"fsync": "off", "shared_buffers": "32MB"})
    try:
        assert ask(server.url, "show shared_buffers") == "32MB"
    finally:
        server.stop()


def test_two_users_share_a_server(data_dir: Path) -> None:
    """The first user's leaving leaves the server to the second; the second one's stops it."""
    first, second = start_fast(data_dir), start_fast(data_dir)
    pid = server_pid(data_dir)
    first.stop()

    assert ask(second.url, "select 1") == 1
    assert server_pid(data_dir) == pid

    second.stop()

    assert not (data_dir / "pgdata" / "postmaster.pid").exists()
    assert is_gone(pid)


def test_stop_twice_is_stop_once(data_dir: Path) -> None:
    """A second stop does nothing, not even to somebody else's use of the server."""
    first, second = start_fast(data_dir), start_fast(data_dir)
    first.stop()
    first.stop()
    try:
        assert ask(second.url, "select 1") == 1
    finally:
        second.stop()


def test_processes_share_a_server(data_dir: Path) -> None:
    """A user in another process finds the running server, and keeps it when the process that started it is killed."""
    with user_process(data_dir) as starter:
        starter.url()
        pid = server_pid(data_dir)
        server = start_fast(data_dir)
        starter.kill()
        try:
            assert ask(server.url, "select 1") == 1
            assert server_pid(data_dir) == pid
        finally:
            server.stop()

    assert is_gone(pid)


async def test_users_that_come_at_once_get_one_server(tmp_path: Path) -> None:
    """Of several first users one makes the folder and starts the server, and all of them use it."""
    servers: list[EmbeddedServer] = []

    async def use() -> None:
        servers.append(await trio.to_thread.run_sync(start_fast, tmp_path))

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(use)
    pids = {ask(server.url, "select pg_postmaster_start_time()::text") for server in servers}
    for server in servers:
        server.stop()

    assert len(pids) == 1
    assert not is_locked(DataFolder(tmp_path).guard_lock, fcntl.LOCK_EX)


def test_a_killed_user_leaves_no_server(data_dir: Path) -> None:
    """After kill -9 of the only user the server stops by itself, and properly."""
    with user_process(data_dir) as user:
        user.url()
        pid = server_pid(data_dir)
        user.kill()

    assert is_gone(pid)

    wait_until_unguarded(data_dir)

    assert "database system is shut down" in (data_dir / "postgres.log").read_text().splitlines()[-1]


@pytest.mark.parametrize("there", ["pgdata.new", "pgdata.new/PG_VERSION", "pgdata", "pgdata/postmaster.pid"])
def test_a_user_killed_while_it_starts_leaves_no_server(there: str, tmp_path: Path) -> None:
    """After kill -9 at any point of a first start nothing keeps running, and the next start works."""
    with user_process(tmp_path) as user:
        while not (tmp_path / there).exists():
            assert user.process.poll() is None
        user.kill()
    wait_until_unguarded(tmp_path)

    assert not (tmp_path / "pgdata" / "postmaster.pid").exists()

    server = start_fast(tmp_path)
    try:
        assert ask(server.url, "select 1") == 1
    finally:
        server.stop()


def test_ctrl_c_is_for_the_user_alone(data_dir: Path) -> None:
    """SIGINT to the user's process group reaches neither the guard nor the server."""
    with user_process(data_dir) as user:
        url = user.url()
        interrupt(user)

        assert user.read() == "interrupted"
        assert ask(url, "select 1") == 1

        pid = server_pid(data_dir)
        user.leave()

        assert user.process.returncode == 0
        assert is_gone(pid)


@pytest.mark.parametrize("account", accounts(), ids=lambda account: account.kind)
def test_any_account_can_use_it(account: Account, open_dir: Path) -> None:
    """Root, an ordinary user, and a user without a name make a folder, use it, and own all that is in it."""
    data_dir = open_dir / "data"
    data_dir.mkdir()
    os.chown(data_dir, account.uid, -1)
    mode = data_dir.stat().st_mode
    with user_process(data_dir, account) as user:
        user.url()
        pid = server_pid(data_dir)
        owners = {path.lstat().st_uid for path in data_dir.rglob("*")}
        user.leave()

    assert user.process.returncode == 0
    assert owners == {account.uid}
    assert data_dir.stat().st_mode == mode
    assert is_gone(pid)


def test_a_server_without_a_guard_is_replaced(data_dir: Path) -> None:
    """After kill -9 of the guard the next user stops the orphan, whose data are kept, and starts a server."""
    first = start_fast(data_dir)
    do(first.url, "create table kept as select 42 as value")
    orphan = server_pid(data_dir)
    os.kill(guard_pid(data_dir), signal.SIGKILL)
    wait_until_unguarded(data_dir)
    second = start_fast(data_dir)
    try:
        assert is_gone(orphan)
        assert ask(second.url, "select value from kept") == 42
        assert ask(first.url, "select value from kept") == 42
    finally:
        first.stop()
        second.stop()


def test_a_guard_killed_while_it_makes_the_folder_is_replaced(tmp_path: Path) -> None:
    """The next user waits for the end of what the guard ran, and makes the folder again."""
    with user_process(tmp_path) as user:
        while not (tmp_path / "pgdata.new").exists():
            assert user.process.poll() is None
        user.process.send_signal(signal.SIGSTOP)
        guard = guard_pid(tmp_path)
        os.kill(guard, signal.SIGKILL)

        assert is_gone(guard)
        assert is_locked(DataFolder(tmp_path).guard_lock, fcntl.LOCK_EX)

        user.kill()
    server = start_fast(tmp_path)
    try:
        assert ask(server.url, "select 1") == 1
    finally:
        server.stop()


def test_a_crashed_server_is_started_again(data_dir: Path) -> None:
    """When the server is killed its guard ends, and the next user starts another one."""
    first = start_fast(data_dir)
    os.kill(server_pid(data_dir), signal.SIGKILL)
    wait_until_unguarded(data_dir)
    second = start_fast(data_dir)
    try:
        assert ask(second.url, "select 1") == 1
    finally:
        first.stop()
        second.stop()


def test_a_stale_pid_file_of_a_stranger_is_harmless(data_dir: Path) -> None:
    """A process that got the number of a server long gone is left alone."""
    (data_dir / "pgdata" / "postmaster.pid").write_text(f"{os.getpid()}\n/elsewhere\n0\n5432\n\n\n\nready\n")
    server = start_fast(data_dir)
    try:
        assert ask(server.url, "select 1") == 1
        assert server_pid(data_dir) != os.getpid()
    finally:
        server.stop()


def test_a_half_made_folder_is_made_again(tmp_path: Path) -> None:
    """What a power failure left of a first start is removed at the next."""
    (tmp_path / "pgdata.new").mkdir()
    (tmp_path / "pgdata.new" / "rest").touch()
    server = start_fast(tmp_path)
    server.stop()

    assert not (tmp_path / "pgdata.new").exists()
    assert not (tmp_path / "pgdata" / "rest").exists()


@pytest.mark.parametrize(
    "name",
    ["x" * 120, "a, b", "of 'Zoë' \"quoted\" %20 & \\ more?", "\udce9", "two\nlines"],
    ids=["long", "comma", "odd", "bytes", "lines"],
)
def test_any_path_will_do(name: str, made: Path, open_dir: Path) -> None:
    """A path may be too long for a socket, hold any character, and not be UTF-8."""
    data_dir = Path(shutil.copytree(made, open_dir / name))
    server = start_fast(data_dir)
    try:
        socket_folder = (data_dir / "socket").resolve()

        assert ask(server.url, "select 1") == 1
        assert len(os.fsencode(socket_folder / ".s.PGSQL.5432")) < 100
        assert stat.S_IMODE(socket_folder.stat().st_mode) == 0o700
    finally:
        server.stop()

    assert not socket_folder.exists()


def test_a_long_path_is_found_from_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second user finds the socket of a long path even if its own temporary folder is another one."""
    data_dir = tmp_path / ("x" * 120)
    first = start_fast(data_dir)
    (tmp_path / "t").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "t"))
    second = start_fast(data_dir)
    first.stop()
    second.stop()

    assert second.url == first.url


def test_a_failing_start_quotes_the_log(data_dir: Path) -> None:
    """When the server refuses to start the error says why, and nothing stays behind."""
    with pytest.raises(EmbeddedPostgresError, match=r'(?s)did not start:.*"shared_buffers"'):
        start(data_dir, options={"shared_buffers": "plenty"})

    wait_until_unguarded(data_dir)

    assert not (data_dir / "pgdata" / "postmaster.pid").exists()

    start_fast(data_dir).stop()


def test_a_long_log_is_set_aside(data_dir: Path) -> None:
    """The log of a folder in use for years does not grow without end."""
    (data_dir / "postgres.log").write_bytes(b"x" * 1_000_001)
    start_fast(data_dir).stop()

    assert (data_dir / "postgres.log.old").stat().st_size == 1_000_001
    assert (data_dir / "postgres.log").stat().st_size < 100_000


async def test_the_server_runs_while_the_block_does(data_dir: Path) -> None:
    """The block gets a URL that works, and the server stops at its end, also by an error."""

    async def use() -> None:
        async with embedded_postgres(data_dir, options=FAST) as server:
            seen["pid"] = server_pid(data_dir)
            seen["database"] = await trio.to_thread.run_sync(ask, server.url, "select current_database()")
            raise ZeroDivisionError

    seen: dict[str, Any] = {}
    with pytest.raises(ZeroDivisionError):
        await use()

    assert seen["database"] == "trioqueue"
    assert is_gone(seen["pid"])


async def test_a_cancelled_block_stops_the_server(data_dir: Path) -> None:
    """Cancelling the block does not cancel the stop."""
    with trio.CancelScope() as scope:
        async with embedded_postgres(data_dir, options=FAST):
            pid = server_pid(data_dir)
            scope.cancel()
            await trio.sleep_forever()

    assert scope.cancelled_caught
    assert not is_locked(DataFolder(data_dir).guard_lock, fcntl.LOCK_EX)
    assert is_gone(pid)


async def test_a_start_can_be_cancelled(tmp_path: Path) -> None:
    """Cancelling while the folder is being made ends the start, and nobody is at work in the folder after it."""
    entered = False

    async def use() -> None:
        nonlocal entered
        async with embedded_postgres(tmp_path, options=FAST):
            entered = True

    async with trio.open_nursery() as nursery:
        nursery.start_soon(use)
        while not (tmp_path / "pgdata.new").exists():
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()

    assert not entered
    assert not is_locked(DataFolder(tmp_path).guard_lock, fcntl.LOCK_EX)
    assert not (tmp_path / "pgdata" / "postmaster.pid").exists()
