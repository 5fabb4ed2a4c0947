"""Waiting for sockets as psycopg's generators ask for it."""

import socket
from collections.abc import Generator, Iterator

import psycopg
import pytest
import trio
import trio.testing
from psycopg.waiting import Ready, Wait

from tests.support.backends import PATIENCE
from trioqueue.postgres.readiness import drive_elsewhere, wait_until_ready


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two connected sockets that do not block."""
    one, other = socket.socketpair()
    with one, other:
        one.setblocking(False)
        other.setblocking(False)
        yield one, other


def fill(sender: socket.socket) -> None:
    """Write until nothing more fits into the socket's buffers."""
    try:
        while True:
            sender.send(bytes(65536))
    except BlockingIOError:
        pass


def drain(receiver: socket.socket) -> None:
    """Read until nothing is left."""
    try:
        while True:
            receiver.recv(65536)
    except BlockingIOError:
        pass


async def begin(nursery: trio.Nursery, one: socket.socket, wait: Wait, answers: list[int]) -> None:
    """Let a task wait for a socket, and return when it waits."""

    async def work() -> None:
        answers.append(await wait_until_ready(one.fileno(), wait))

    nursery.start_soon(work)
    await trio.testing.wait_all_tasks_blocked()


@pytest.mark.parametrize("wait", [Wait.R, Wait.RW])
async def test_readable(pair: tuple[socket.socket, socket.socket], wait: Wait) -> None:
    """What arrives while nothing can be sent is answered with "readable"."""
    one, other = pair
    fill(one)
    answers: list[int] = []
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            await begin(nursery, one, wait, answers)
            waited = not answers
            other.send(b"x")

    assert waited
    assert answers == [Ready.R]


@pytest.mark.parametrize("wait", [Wait.W, Wait.RW])
async def test_writable(pair: tuple[socket.socket, socket.socket], wait: Wait) -> None:
    """Room in the buffers while nothing arrives is answered with "writable"."""
    one, other = pair
    fill(one)
    answers: list[int] = []
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            await begin(nursery, one, wait, answers)
            waited = not answers
            drain(other)

    assert waited
    assert answers == [Ready.W]


@pytest.mark.parametrize("wait", [Wait.R, Wait.W, Wait.RW])
async def test_cancelled(pair: tuple[socket.socket, socket.socket], wait: Wait) -> None:
    """A cancelled wait raises Cancelled itself and no group of it, which nobody would catch."""
    one, _ = pair
    fill(one)
    with trio.CancelScope() as scope:
        scope.cancel()
        with pytest.raises(trio.Cancelled):
            await wait_until_ready(one.fileno(), wait)
        await trio.lowlevel.checkpoint()

    assert scope.cancelled_caught


@pytest.mark.parametrize("wait", [Wait.R, Wait.W])
async def test_closed_meanwhile(pair: tuple[socket.socket, socket.socket], wait: Wait) -> None:
    """A socket that another task closes ends the wait as a lost connection."""
    one, _ = pair
    fill(one)

    async def work() -> None:
        with pytest.raises(psycopg.OperationalError):
            await wait_until_ready(one.fileno(), wait)

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(work)
            await trio.testing.wait_all_tasks_blocked()
            trio.lowlevel.notify_closing(one.fileno())
            one.close()


async def test_closed_meanwhile_for_either(pair: tuple[socket.socket, socket.socket]) -> None:
    """Who waits for either goes on, and finds the error when the socket is used."""
    one, _ = pair
    fill(one)
    answers: list[int] = []
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            await begin(nursery, one, Wait.RW, answers)
            trio.lowlevel.notify_closing(one.fileno())
            one.close()

    assert len(answers) == 1


async def test_changing_descriptor(pair: tuple[socket.socket, socket.socket]) -> None:
    """A generator may wait for one socket after the other, and returns its value."""
    one, other = pair

    def ask_both() -> Generator[tuple[int, Wait], int, list[int]]:
        answers = []
        for each, wait in ((one, Wait.W), (other, Wait.W), (one, Wait.R)):
            answers.append((yield each.fileno(), wait))
            other.send(b"x")
        return answers

    assert await drive_elsewhere(ask_both()) == [Ready.W, Ready.W, Ready.R]
