"""The worker under the supervisors that scripts/ has configurations for."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.support.command import PATIENCE, TRIOQUEUE, Command
from tests.support.database import fetch, start_run
from trioqueue.postgres.pool import Pool
from trioqueue.settings import Settings
from trioqueue.simulator import World

SCRIPTS = Path(__file__).parents[2] / "scripts"


def with_path(command: Command, **changes: str) -> dict[str, str]:
    """The environment of a supervisor that finds `trioqueue` on its path."""
    path = f"{TRIOQUEUE.parent}{os.pathsep}{os.environ['PATH']}"
    return command.environment(PATH=path, **changes)


@asynccontextmanager
async def supervisord(command: Command) -> AsyncIterator[subprocess.Popen[bytes]]:
    """A supervisord with our configuration, ended with SIGTERM."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "supervisor.supervisord", "-c", SCRIPTS / "supervisord.conf"],
        cwd=command.directory,
        env=with_path(command, SUPERVISOR_RUN_DIR=str(command.directory)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        with trio.fail_after(PATIENCE):
            await trio.to_thread.run_sync(process.communicate)


async def worker_pid(pool: Pool, *, other_than: int = 0) -> int:
    """The process id of a worker that has registered; the test's time limit is the caller's."""
    while True:
        rows = await fetch(pool, "select pid from workers where pid <> %s", other_than)
        if rows:
            return int(rows[0][0])


async def test_supervisord_restarts_a_killed_worker(command: Command, world: World, pool: Pool) -> None:
    """After kill -9 supervisord starts another worker, which goes on; a stop of supervisord drains it."""
    async with supervisord(command):
        with trio.fail_after(PATIENCE):
            first = await worker_pid(pool)
            os.kill(first, signal.SIGKILL)
            second = await worker_pid(pool, other_than=first)
            await start_run(pool, 3)
            await world.wait_until(lambda world: len({one.conversation_id for one in world.deliveries}) == 3)

    assert second != first
    left = await fetch(pool, "select pid from workers")
    assert left == [(first,)]


async def test_a_batch_from_cron(command: Command, world: World, pool: Pool, tmp_path: Path) -> None:
    """The cron script reads its environment from a file, works on what is due, and exits with 0."""
    await start_run(pool, 3)
    file = tmp_path / "environment"
    file.write_text("".join(f"{name}='{value}'\n" for name, value in command.variables.items()))
    bare = {"PATH": f"{TRIOQUEUE.parent}{os.pathsep}{os.environ['PATH']}"}
    call = ["sh", str(SCRIPTS / "cron-batch.sh"), str(file)]
    with trio.fail_after(PATIENCE):
        done = await trio.run_process(call, env=bare, capture_stdout=True, cwd=tmp_path)

    assert done.returncode == 0
    assert len({delivery.conversation_id for delivery in world.deliveries}) == 3


@pytest.mark.parametrize(("code", "expected"), [(0, 0), (75, 0), (1, 1), (2, 2)])
async def test_cron_hears_only_of_what_went_wrong(tmp_path: Path, code: int, expected: int) -> None:
    """A batch that was cut short by its deadline is no failure, and cron, which mails all output, sees none of it."""
    command = tmp_path / "trioqueue"
    command.write_text(f"#!/bin/sh\necho counts\necho reasons >&2\nexit {code}\n")
    command.chmod(0o755)
    environment = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    done = await trio.run_process(
        ["sh", SCRIPTS / "cron-batch.sh"], env=environment, capture_stdout=True, capture_stderr=True, check=False
    )

    assert done.returncode == expected
    assert (done.stdout, done.stderr) == (b"", b"counts\nreasons\n" if expected else b"")


def test_the_systemd_unit_fits_the_settings() -> None:
    """The unit's kill time is above the drain time, and its variables are settings that take a file."""
    unit = (SCRIPTS / "trioqueue.service").read_text(encoding="utf-8")
    [stop_time] = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)

    assert float(stop_time) > Settings().drain_timeout
    assert re.findall(r"^Environment=(\w+_FILE)=%d/", unit, re.MULTILINE) == [
        "TRIOQUEUE_DATABASE_URL_FILE",
        "OPENROUTER_API_KEY_FILE",
        "TRIOQUEUE_GATEWAY_KEY_FILE",
    ]


def test_supervisord_waits_longer_than_a_drain_takes() -> None:
    """Under supervisord a worker that is still draining is not killed."""
    configuration = (SCRIPTS / "supervisord.conf").read_text(encoding="utf-8")
    [wait] = re.findall(r"^stopwaitsecs = (\d+)$", configuration, re.MULTILINE)

    assert float(wait) > Settings().drain_timeout
