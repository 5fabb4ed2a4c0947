"""The server under the simulated endpoints, whatever its clients do."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from tests.simulator.worlds import DEADLINE
from trioqueue.simulator.connection import LARGEST_BODY, Request, Respond
from trioqueue.simulator.errors import SimulatorError
from trioqueue.simulator.replies import Answer
from trioqueue.simulator.server import LOOPBACK, Server

GET = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"
OK = b"HTTP/1.1 200"


class Echo:
    """Answers with the body of the request."""

    async def __call__(self, request: Request, respond: Respond) -> None:
        await respond(Answer(200, b"<" + request.body + b">", b"text/plain"))


class Defective(Echo):
    """Raises an error instead of answering."""

    async def __call__(self, request: Request, respond: Respond) -> None:  # noqa: ARG002 - it has a defect
        raise LookupError


@asynccontextmanager
async def serving(endpoint: Echo | None = None, *, idle: float = DEADLINE) -> AsyncIterator[Server]:
    """A server that runs while this is entered."""
    server = Server(endpoint or Echo(), idle=idle)
    try:
        with trio.fail_after(DEADLINE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(server.run)
                yield server
                nursery.cancel_scope.cancel()
    finally:
        server.close()


async def connected(server: Server) -> trio.SocketStream:
    """A client's connection."""
    return await trio.open_tcp_stream(LOOPBACK, server.port)


async def read_to_the_end(stream: trio.SocketStream) -> bytes:
    """All that comes until the other side closes."""
    return b"".join([chunk async for chunk in stream])


async def read_until(stream: trio.SocketStream, ending: bytes) -> bytes:
    """All that comes until it ends with `ending`."""
    received = b""
    while not received.endswith(ending):
        chunk = await stream.receive_some()
        assert chunk, received
        received += chunk
    return received


async def answers(server: Server) -> bool:
    """Whether a new client is answered."""
    async with await connected(server) as stream:
        await stream.send_all(GET)
        return (await read_until(stream, b"<>")).startswith(OK)


async def test_keep_alive():
    """A connection serves one request after the other, also when they come at once."""
    async with serving() as server, await connected(server) as stream:
        await stream.send_all(GET + GET)
        first_two = await read_until(stream, b"<>")
        while first_two.count(b"<>") < 2:
            first_two += await read_until(stream, b"<>")
        await stream.send_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi")
        third = await read_until(stream, b"<hi>")

    assert first_two.count(OK) == 2
    assert third.startswith(OK)
    assert server.connections == 1


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET / HTTP/1.0\r\n\r\n",
        b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_last_request(sent: bytes):
    """A client that asks for the end of the connection after the answer gets it, and so does one that sends HEAD."""
    async with serving() as server, await connected(server) as stream:
        await stream.send_all(sent)
        answer = await read_to_the_end(stream)

    assert answer.startswith(OK)
    assert b"\r\nconnection: close\r\n" in answer


async def test_chunks():
    """A body can come in chunks, and a client that waits for 100 Continue gets it."""
    async with serving() as server, await connected(server) as stream:
        await stream.send_all(
            b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        interim = await read_until(stream, b"\r\n\r\n")
        await stream.send_all(b"2\r\nhi\r\n0\r\n\r\n")

        assert interim.startswith(b"HTTP/1.1 100")
        assert (await read_until(stream, b"<hi>")).startswith(OK)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"POST / HT",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf",
        GET[:-2],
        GET,
    ],
)
@pytest.mark.parametrize("abruptly", [False, True])
async def test_vanishing(sent: bytes, abruptly: bool):
    """A client that vanishes at any moment harms nobody else."""
    async with serving() as server:
        stream = await connected(server)
        if sent:
            await stream.send_all(sent)
        if abruptly:
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        await stream.aclose()

        assert await answers(server)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"\x16\x03\x01\x02\x00 no HTTP at all\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 100_000, b"431"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n" + b"a" * (LARGEST_BODY + 1), b"413"),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n200000\r\n" + b"a" * 0x200000, b"413"),
    ],
)
async def test_bad_requests(sent: bytes, status: bytes):
    """Garbage and what is too large are answered with the reason, and the connection ends."""
    async with serving() as server:
        async with await connected(server) as stream:
            await stream.send_all(sent)
            await stream.send_eof()
            answer = await read_to_the_end(stream)

        assert answer.startswith(b"HTTP/1.1 " + status)
        assert await answers(server)


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (b"", 0),
        (b"GET / HTTP/1.1\r\nHo", 0),
        (GET[:-2] + b"Content-Length: 10\r\n\r\nhalf", 0),
        (GET, 1),
        (GET + b"GET", 1),
    ],
)
async def test_idle(sent: bytes, answered: int):
    """A connection that takes too long to its next request is closed, wherever it stopped."""
    async with serving(idle=0.1) as server, await connected(server) as stream:
        if sent:
            await stream.send_all(sent)

        assert (await read_to_the_end(stream)).count(b"HTTP/1.1") == answered


async def test_many_connections():
    """Hundreds of clients are served at once."""
    async with serving() as server:
        streams = [await connected(server) for _ in range(200)]
        for stream in streams:
            await stream.send_all(GET)
        served = [await read_until(stream, b"<>") for stream in streams]
        open_connections = server.open_connections
        for stream in streams:
            await stream.aclose()

    assert all(answer.startswith(OK) for answer in served)
    assert open_connections == 200


async def test_loopback_only():
    """Only 127.0.0.1 is listened on: already another loopback address is refused."""
    async with serving() as server:
        with pytest.raises(OSError, match="connect"):
            await trio.open_tcp_stream("127.0.0.2", server.port)

        assert await answers(server)


async def test_outage():
    """In an outage connections are reset and new ones refused; then all is well again on the same port."""
    async with serving() as server, await connected(server) as stream:
        await stream.send_all(GET)
        await read_until(stream, b"<>")
        with server.outage():
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()
            with pytest.raises(OSError, match="connect"):
                await connected(server)

        assert await answers(server)


async def test_outages_overlap():
    """The last of several outages ends them."""
    async with serving() as server:
        with server.outage():
            with server.outage():
                pass
            with pytest.raises(OSError, match="connect"):
                await connected(server)

        assert await answers(server)


async def test_cancelled():
    """A cancelled server cuts what is under way, and its port is free again."""
    async with serving() as server:
        stream = await connected(server)
        await stream.send_all(GET)
        await read_until(stream, b"<>")
        await stream.send_all(GET[:-2])
    async with stream:
        with pytest.raises(OSError, match="connect"):
            await connected(server)
    Server(Echo(), server.port).close()


@pytest.mark.parametrize("port", [70_000, -1])
async def test_bad_port(port: int):
    """A port that cannot be is refused by its number."""
    with pytest.raises(SimulatorError, match=str(port)):
        Server(Echo(), port)


async def test_taken_port():
    """A port that is taken is refused by its number."""
    async with serving() as server:
        with pytest.raises(SimulatorError, match=str(server.port)):
            Server(Echo(), server.port)


async def test_error_of_the_endpoint():
    """An error of the endpoint is a defect, and ends the server."""
    with pytest.raises(ExceptionGroup) as raised:
        await ask_once(Defective())

    assert raised.group_contains(LookupError)


async def ask_once(endpoint: Echo) -> None:
    """Ask a server of this endpoint, and wait for whatever comes."""
    async with serving(endpoint) as server, await connected(server) as stream:
        await stream.send_all(GET)
        await trio.sleep_forever()
