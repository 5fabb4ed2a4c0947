"""Which connections serve again, and which are closed, against a server that does anything at any time."""

from typing import Any

import httpx
import pytest
import trio

from tests.support.posting import post
from tests.support.scripted_server import (
    Peer,
    Script,
    ScriptedServer,
    answering,
    drip,
    echo,
    http_answer,
    read_and_close,
    read_and_hang,
    scripted_server,
    until,
)
from trioqueue.http.answers import Answer
from trioqueue.http.connection import Unanswered
from trioqueue.http.transport import HttpTransport


async def test_newest_idle_connection_is_taken(transport: HttpTransport):
    """Of the idle connections the one that was used last serves next, so that the others can grow old."""
    first_waits = trio.Event()

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            if peer.number == 1 and not first_waits.is_set():
                await first_waits.wait()
            await peer.send(http_answer(str(peer.number).encode()))

    async with scripted_server(script) as server:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(post, transport, server.url)
            await until(lambda: len(server.requests) == 1)
            await post(transport, server.url)
            first_waits.set()
        answers = [await post(transport, server.url) for _ in range(3)]

        assert [answer.body for answer in answers] == [b"1"] * 3
        assert server.connections == 2


async def test_closed_peer_is_noticed_before_the_request_is_written(transport: HttpTransport):
    """A kept connection that the server has closed is not used: nothing is lost, and nothing has to be repeated."""
    closed = trio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(http_answer())
        await peer.close()
        closed.set()

    async with scripted_server(script) as server:
        await post(transport, server.url)
        await until(closed.is_set)
        answer = await post(transport, server.url)

        assert answer.status == 200
        assert len(server.requests) == server.connections == 2


@pytest.mark.parametrize("repeated", [False, True])
async def test_answers_survive_a_server_that_closes_in_silence(transport: HttpTransport, repeated: bool):
    """Against a server that closes after every 37 answers without saying so, 2,000 calls at 50 in flight all succeed.

    Those that may not be repeated may meet the close itself; then they are told so, and nothing else goes wrong.
    """

    async def script(peer: Peer) -> None:
        for _ in range(37):
            await peer.request()
            await peer.send(http_answer(b"hello"))

    outcomes: list[object] = []

    async def caller(url: str) -> None:
        for _ in range(40):
            try:
                answer = await post(transport, url, repeatable=repeated)
            except Unanswered:
                outcomes.append(Unanswered)
            else:
                outcomes.append(answer.body)

    async with scripted_server(script) as server:
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(caller, server.url)

        assert len(outcomes) == 2000
        assert set(outcomes) <= ({b"hello"} if repeated else {b"hello", Unanswered})
        assert server.connections >= 2000 / 37


async def close_at_second_request(peer: Peer) -> None:
    """The first connection answers once, and closes after it has read another request; the others answer once."""
    await peer.request()
    await peer.send(http_answer(b"hello"))
    if peer.number == 1:
        await peer.request()
    else:
        await peer.gone()


async def test_request_closed_upon_is_repeated_only_if_it_may_be(transport: HttpTransport):
    """A kept connection that is closed without a byte of an answer fails the request, unless it may be repeated."""
    async with scripted_server(close_at_second_request) as server:
        await post(transport, server.url)

        with pytest.raises(Unanswered):
            await post(transport, server.url)

        assert len(server.requests) == 2
    async with scripted_server(close_at_second_request) as server:
        await post(transport, server.url)
        answer = await post(transport, server.url, repeatable=True)

        assert answer.body == b"hello"
        assert len(server.requests) == 3


async def test_fresh_connection_closed_without_an_answer_is_a_fault(transport: HttpTransport):
    """A first request that meets a close is not repeated: the server has read it, and may have acted on it."""
    async with scripted_server(read_and_close) as server:
        with pytest.raises(httpx.ReadError):
            await post(transport, server.url, repeatable=True)

        assert len(server.requests) == 1


@pytest.mark.parametrize("end", [Peer.close, Peer.reset])
async def test_half_an_answer_is_never_repeated(transport: HttpTransport, end: Script):
    """Once a byte of an answer came, the request was served, and is not made again."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(http_answer(b"hello"))
        await peer.request()
        await peer.send(b"HTTP/1.1 2")
        await end(peer)

    async with scripted_server(script) as server:
        await post(transport, server.url)

        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)) as caught:
            await post(transport, server.url, repeatable=True)
        assert not isinstance(caught.value, Unanswered)
        assert len(server.requests) == 2


async def test_old_idle_connections_are_dropped():
    """An idle connection that is too old is closed when a younger one comes back, or when it would be taken."""
    dropped: list[int] = []
    both_asked = trio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        if peer.number == 2:
            both_asked.set()
        await both_asked.wait()
        await peer.send(http_answer())
        await peer.gone()
        dropped.append(peer.number)

    async with HttpTransport(idle_seconds=0) as transport, scripted_server(script) as server:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(post, transport, server.url)
            nursery.start_soon(post, transport, server.url)
        await until(lambda: len(dropped) == 1)
        await post(transport, server.url)
        await until(lambda: len(dropped) == 2)

        assert sorted(dropped) == [1, 2]
        assert server.connections == 3


async def test_bytes_beyond_the_answer_end_the_connection(transport: HttpTransport):
    """A connection on which more came than the answer is not used again: the surplus would answer the next request."""
    surplus = http_answer(b"first") + http_answer(b"surplus")
    async with scripted_server(answering(surplus)) as server:
        answers = [await post(transport, server.url) for _ in range(2)]

        assert [answer.body for answer in answers] == [b"first"] * 2
        assert server.connections == 2


async def test_bytes_that_come_while_idle_end_the_connection(transport: HttpTransport):
    """A connection on which something came while nobody asked is not used again."""
    spoke = trio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(http_answer(b"asked"))
        await peer.send(http_answer(b"unasked"))
        spoke.set()
        await peer.gone()

    async with scripted_server(script) as server:
        await post(transport, server.url)
        await until(spoke.is_set)
        answer = await post(transport, server.url)

        assert answer.body == b"asked"
        assert server.connections == 2


@pytest.mark.parametrize("script", [read_and_hang, drip])
async def test_cancelled_exchange_closes_its_connection(transport: HttpTransport, script: Any):
    """A cancellation in the middle of an exchange ends it, and its connection, which nobody could use again."""
    noticed = trio.Event()

    async def noticing(peer: Peer) -> None:
        try:
            await script(peer)
        finally:
            noticed.set()

    async with scripted_server(noticing) as server:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(post, transport, server.url)
            await until(lambda: len(server.requests) == 1)
            nursery.cancel_scope.cancel()
        await until(noticed.is_set)

        assert nursery.cancel_scope.cancelled_caught


async def test_many_at_once_get_their_own_answers(transport: HttpTransport):
    """200 requests in flight each get their own answer, three times over the same 200 connections at most."""
    mismatches: list[int] = []

    async def caller(server: ScriptedServer, number: int) -> None:
        for _ in range(3):
            body = str(number).encode()
            answer = await post(transport, server.url, body)
            if answer.body != body:
                mismatches.append(number)

    async with scripted_server(echo) as server:
        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(caller, server, number)

        assert mismatches == []
        assert len(server.requests) == 600
        assert server.connections <= 200


async def test_closing_closes_idle_connections_at_once_and_others_at_their_end():
    """After `aclose` no connection stays open: the idle ones go, and one in use goes when its exchange is over."""
    answer_now = trio.Event()
    gone: list[int] = []

    async def script(peer: Peer) -> None:
        await peer.request()
        if peer.number == 2:
            await answer_now.wait()
        await peer.send(http_answer(b"hello"))
        await peer.gone()
        gone.append(peer.number)

    answers: list[Answer] = []

    async def caller(transport: HttpTransport, url: str) -> None:
        answers.append(await post(transport, url))

    async with scripted_server(script) as server, trio.open_nursery() as nursery:
        transport = HttpTransport()
        nursery.start_soon(caller, transport, server.url)
        nursery.start_soon(caller, transport, server.url)
        await until(lambda: len(server.requests) == 2 and len(answers) == 1)
        await transport.aclose()
        await until(lambda: gone == [1])
        answer_now.set()
        await until(lambda: gone == [1, 2])

        assert [answer.body for answer in answers] == [b"hello"] * 2
