"""What a worker tells the service manager that started it, and the signal that it does not hear."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.support.command import PATIENCE, Command
from trioqueue.cli.notify import ServiceManager


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """Where a service manager listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(PATIENCE)
        yield listening


async def heard(manager: socket.socket) -> list[str]:
    """What is told next, line by line."""
    return (await trio.to_thread.run_sync(manager.recv, 4096)).decode().split("\n")


async def code_of(process: "subprocess.Popen[bytes]") -> int:
    """The exit code of a process, once it has ended."""
    with trio.fail_after(PATIENCE):
        await trio.to_thread.run_sync(process.communicate)
    return process.returncode


@pytest.mark.usefixtures("pool")
async def test_a_worker_is_ready_alive_and_stopping(command: Command, manager: socket.socket) -> None:
    """It says so in this order, is alive twice within each watchdog interval, and outlives a SIGHUP."""
    process = command.start("worker", NOTIFY_SOCKET=manager.getsockname(), WATCHDOG_USEC="200000")
    ready = await heard(manager)
    alive = [await heard(manager) for _ in range(3)]
    process.send_signal(signal.SIGHUP)
    alive += [await heard(manager) for _ in range(3)]
    process.send_signal(signal.SIGTERM)
    while (last := await heard(manager)) == ["WATCHDOG=1"]:
        pass

    assert ready[0] == "READY=1"
    assert alive == [["WATCHDOG=1"]] * 6
    assert last[0] == "STOPPING=1"
    assert await code_of(process) == 0


@pytest.mark.parametrize("watchdog", [{}, {"WATCHDOG_USEC": "200000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": "0"}])
@pytest.mark.usefixtures("pool")
async def test_the_watchdog_of_others(command: Command, manager: socket.socket, watchdog: dict[str, str]) -> None:
    """Without a watchdog, or with one that is meant for another process, only the beginning and the end are told."""
    process = command.start("worker", NOTIFY_SOCKET=manager.getsockname(), **watchdog)
    told = [await heard(manager)]
    process.send_signal(signal.SIGTERM)
    told.append(await heard(manager))

    assert [lines[0] for lines in told] == ["READY=1", "STOPPING=1"]
    assert await code_of(process) == 0


def test_an_abstract_socket() -> None:
    """An address that begins with @ is in the abstract namespace of Linux."""
    name = f"trioqueue-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{name}")
        listening.settimeout(PATIENCE)
        ServiceManager({"NOTIFY_SOCKET": f"@{name}"}).tell("READY=1", "STATUS=well")

        assert listening.recv(4096) == b"READY=1\nSTATUS=well"


@pytest.mark.parametrize("address", ["", "/nowhere/at/all"])
def test_nobody_listens(address: str) -> None:
    """A manager that is not there harms nobody."""
    ServiceManager({"NOTIFY_SOCKET": address}).tell("READY=1")
