"""What the transport makes of the bytes that a server says."""

import socket
from typing import Any

import httpx
import pytest
import trio

from tests.support.posting import post
from tests.support.scripted_server import (
    Peer,
    answering,
    http_answer,
    refusing_port,
    scripted_server,
)
from trioqueue.http.transport import HttpTransport

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


WHOLE_ANSWERS = {
    "content-length": http_answer(b"hello"),
    "chunked": CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
    "after 100 and 103": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + http_answer(b"hello"),
}


@pytest.mark.parametrize("answer", WHOLE_ANSWERS.values(), ids=WHOLE_ANSWERS)
async def test_whole_answer_is_read_and_its_connection_serves_again(transport: HttpTransport, answer: bytes):
    """An answer is read to its end whatever its framing, and then the connection is used for the next request."""
    async with scripted_server(answering(answer)) as server:
        answers = [await post(transport, server.url) for _ in range(3)]

        assert [(answer.status, answer.body) for answer in answers] == [(200, b"hello")] * 3
        assert server.connections == 1


@pytest.mark.parametrize("head", ["HTTP/1.1 200 OK\r\nConnection: close", "HTTP/1.0 200 OK"])
async def test_answer_that_ends_with_the_connection(transport: HttpTransport, head: str):
    """An answer without a length ends where the connection does, which is not used again."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(f"{head}\r\n\r\nhello".encode())

    async with scripted_server(script) as server:
        answers = [await post(transport, server.url) for _ in range(2)]

        assert [answer.body for answer in answers] == [b"hello"] * 2
        assert server.connections == 2


async def test_request_is_whole_and_right(transport: HttpTransport):
    """The request line, the headers and the body arrive as they were built, the query included."""
    async with scripted_server(answering(http_answer())) as server:
        await post(transport, f"{server.url}/a/b?c=d%20e", b'{"x": 1}')

        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        assert head.split(b"\r\n")[0] == b"POST /a/b?c=d%20e HTTP/1.1"
        assert f"host: 127.0.0.1:{server.port}".encode() in head.lower()
        assert body == b'{"x": 1}'


NO_ANSWERS = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "cut in the head": b"HTTP/1.1 200 OK\r\nContent-Le",
    "cut in the body": b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
    "cut in a chunk": CHUNKED + b"9\r\nhello",
    "bad chunk size": CHUNKED + b"zz\r\nhello\r\n",
    "endless head": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 50_000,
    "switch of protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n",
    "only 100": b"HTTP/1.1 100 Continue\r\n\r\n",
    "body too large": http_answer(b"x" * 2001),
    "chunks too large": CHUNKED + (b"3e8\r\n" + b"x" * 1000 + b"\r\n") * 3,
}


@pytest.mark.parametrize("answer", NO_ANSWERS.values(), ids=NO_ANSWERS)
async def test_what_is_no_whole_answer_is_a_fault(answer: bytes):
    """Whatever is not a whole answer of HTTP within the bounds raises RemoteProtocolError and ends the connection."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer)

    async with HttpTransport(max_answer_bytes=2000) as transport, scripted_server(script) as server:
        with pytest.raises(httpx.RemoteProtocolError):
            await post(transport, server.url)
        with pytest.raises(httpx.RemoteProtocolError):
            await post(transport, server.url)

        assert server.connections == 2


async def test_reset_is_a_read_error(transport: HttpTransport):
    """A connection that is reset while the answer is awaited raises ReadError."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.reset()

    async with scripted_server(script) as server:
        with pytest.raises(httpx.ReadError):
            await post(transport, server.url)


async def test_reset_while_writing_is_a_write_error(transport: HttpTransport):
    """A connection that is reset before the request was written raises WriteError."""
    async with scripted_server(Peer.reset) as server:
        with pytest.raises(httpx.WriteError):
            await post(transport, server.url, b"x" * 32_000_000)


async def test_refusal_is_read_although_the_request_was_not_taken_whole(transport: HttpTransport):
    """A server may answer that the request is too large, and stop reading it: the answer counts."""

    async def script(peer: Peer) -> None:
        await peer.send(http_answer(b"too large", 413, "Connection: close"))

    async with scripted_server(script) as server:
        answer = await post(transport, server.url, b"x" * 32_000_000)

        assert (answer.status, answer.body) == (413, b"too large")


async def test_refused_connection_is_a_connect_error(transport: HttpTransport):
    """Where nobody listens, ConnectError names the address."""
    with refusing_port() as port, pytest.raises(httpx.ConnectError, match=f"127.0.0.1 port {port}: .*refused"):
        await post(transport, f"http://127.0.0.1:{port}")


class NoNames(trio.abc.HostnameResolver):
    async def getaddrinfo(self, *_: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    async def getnameinfo(self, *_: Any) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")


@pytest.mark.parametrize("host", ["gateway.invalid", f"{'a' * 70}.invalid"])
async def test_unknown_host_is_a_connect_error(transport: HttpTransport, host: str):
    """A host without an address, or that cannot have one, raises ConnectError."""
    trio.socket.set_custom_hostname_resolver(NoNames())

    with pytest.raises(httpx.ConnectError, match=host):
        await post(transport, f"http://{host}/")
