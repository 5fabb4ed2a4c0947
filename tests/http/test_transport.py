"""The transport against a server that says any bytes at any time."""

import gzip
import socket
import ssl
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import trio
import trustme

from tests.support.scripted_server import (
    Peer,
    ScriptedServer,
    answering,
    drip,
    echo,
    http_answer,
    read_and_close,
    read_and_hang,
    refusing_port,
    scripted_server,
    until,
)
from trioqueue.http.transport import REPEATABLE, HttpTransport, Unanswered


@pytest.fixture
async def transport() -> AsyncIterator[HttpTransport]:
    """A transport as it is used, closed afterwards."""
    async with HttpTransport() as transport:
        yield transport


async def post(
    transport: HttpTransport,
    url: str,
    content: bytes = b"{}",
    *,
    repeatable: bool = False,
    timeout: dict[str, float] | None = None,
) -> httpx.Response:
    """Post without a client, and read the answer."""
    extensions: dict[str, Any] = {"timeout": timeout or {}}
    if repeatable:
        extensions[REPEATABLE] = True
    request = httpx.Request("POST", url, content=content, extensions=extensions)
    response = await transport.handle_async_request(request)
    await response.aread()
    return response


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

        assert [(answer.status_code, answer.content) for answer in answers] == [(200, b"hello")] * 3
        assert server.connections == 1


@pytest.mark.parametrize("head", ["HTTP/1.1 200 OK\r\nConnection: close", "HTTP/1.0 200 OK"])
async def test_answer_that_ends_with_the_connection(transport: HttpTransport, head: str):
    """An answer without a length ends where the connection does, which is not used again."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(f"{head}\r\n\r\nhello".encode())

    async with scripted_server(script) as server:
        answers = [await post(transport, server.url) for _ in range(2)]

        assert [answer.content for answer in answers] == [b"hello"] * 2
        assert server.connections == 2


async def test_request_is_whole_and_right(transport: HttpTransport):
    """The request line, the headers and the body arrive as they were built, the query included."""
    async with scripted_server(answering(http_answer())) as server:
        await post(transport, f"{server.url}/a/b?c=d%20e", b'{"x": 1}')

        head, _, body = server.requests[0].partition(b"\r\n\r\n")
        assert head.split(b"\r\n")[0] == b"POST /a/b?c=d%20e HTTP/1.1"
        assert f"host: 127.0.0.1:{server.port}".encode() in head.lower()
        assert body == b'{"x": 1}'


async def test_serves_an_ordinary_client(transport: HttpTransport):
    """The client of httpx works on it: redirects are followed, encodings are undone, bodies may be streamed."""

    async def body() -> AsyncIterator[bytes]:
        yield b"one, "
        yield b"two"

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(http_answer(b"", 307, "Location: /elsewhere"))
        await peer.request()
        await peer.send(http_answer(gzip.compress(b"hello"), 200, "Content-Encoding: gzip"))
        await peer.request()
        await peer.send(http_answer())

    async with scripted_server(script) as server, httpx.AsyncClient(transport=transport) as client:
        answer = await client.post(server.url, content=b"{}", follow_redirects=True)

        assert answer.text == "hello"
        assert server.requests[1].startswith(b"POST /elsewhere HTTP/1.1\r\n")
        await client.post(server.url, content=body(), headers={"Content-Length": "8"})
        assert server.requests[2].endswith(b"\r\n\r\none, two")


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

        assert [answer.content for answer in answers] == [b"1"] * 3
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

        assert answer.status_code == 200
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
                outcomes.append(answer.content)

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

        assert answer.content == b"hello"
        assert len(server.requests) == 3


async def test_fresh_connection_closed_without_an_answer_is_a_fault(transport: HttpTransport):
    """A first request that meets a close is not repeated: the server has read it, and may have acted on it."""
    async with scripted_server(read_and_close) as server:
        with pytest.raises(httpx.ReadError):
            await post(transport, server.url, repeatable=True)

        assert len(server.requests) == 1


async def test_half_an_answer_is_never_repeated(transport: HttpTransport):
    """Once a byte of an answer came, the request was served, and is not made again."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(http_answer(b"hello"))
        await peer.request()
        await peer.send(b"HTTP/1.1 2")

    async with scripted_server(script) as server:
        await post(transport, server.url)

        with pytest.raises(httpx.RemoteProtocolError) as caught:
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

        assert [answer.content for answer in answers] == [b"first"] * 2
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

        assert answer.content == b"asked"
        assert server.connections == 2


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

        assert (answer.status_code, answer.content) == (413, b"too large")


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


async def test_other_schemes_are_refused(transport: HttpTransport):
    """Only http and https are spoken."""
    with pytest.raises(httpx.UnsupportedProtocol):
        await post(transport, "ftp://127.0.0.1/")


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


async def test_read_timeout(transport: HttpTransport):
    """The client's read time-out is honoured between two receipts."""
    async with scripted_server(read_and_hang) as server:
        with pytest.raises(httpx.ReadTimeout):
            await post(transport, server.url, timeout={"read": 0.02})


async def test_write_timeout(transport: HttpTransport):
    """The client's write time-out is honoured when the server does not read."""

    async def script(peer: Peer) -> None:
        await trio.sleep_forever()

    async with scripted_server(script) as server:
        with pytest.raises(httpx.WriteTimeout):
            await post(transport, server.url, b"x" * 32_000_000, timeout={"write": 0.02})


async def test_connect_timeout_covers_the_handshake(transport: HttpTransport):
    """A server that takes the connection and never answers the TLS handshake raises ConnectTimeout."""
    async with scripted_server(Peer.gone) as server:
        with pytest.raises(httpx.ConnectTimeout):
            await post(transport, server.url.replace("http:", "https:"), timeout={"connect": 0.02})


async def test_many_at_once_get_their_own_answers(transport: HttpTransport):
    """200 requests in flight each get their own answer, three times over the same 200 connections at most."""
    mismatches: list[int] = []

    async def caller(server: ScriptedServer, number: int) -> None:
        for _ in range(3):
            body = str(number).encode()
            answer = await post(transport, server.url, body)
            if answer.content != body:
                mismatches.append(number)

    async with scripted_server(echo) as server:
        async with trio.open_nursery() as nursery:
            for number in range(200):
                nursery.start_soon(caller, server, number)

        assert mismatches == []
        assert len(server.requests) == 600
        assert server.connections <= 200


async def test_header_that_http_forbids_is_refused_without_being_shown(transport: HttpTransport):
    """A header that cannot be sent is refused before anything goes out, and the error does not repeat it."""
    async with scripted_server(echo) as server:
        request = httpx.Request("POST", server.url, headers={"X-Key": "secret\nword"}, content=b"")

        with pytest.raises(httpx.LocalProtocolError) as caught:
            await transport.handle_async_request(request)
        assert "secret" not in repr(caught.value)
        assert server.requests == []


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

    answers: list[httpx.Response] = []

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

        assert [answer.content for answer in answers] == [b"hello"] * 2


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    """An authority that nobody knows."""
    return trustme.CA()


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    """The server's side of TLS, with a certificate for 127.0.0.1 from that authority."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def test_tls_with_a_trusted_certificate(authority: trustme.CA, server_tls: ssl.SSLContext):
    """Over TLS requests are answered and connections kept as without."""
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with HttpTransport(trusting) as transport, scripted_server(echo, server_tls) as server:
        answers = [await post(transport, server.url, b"hello") for _ in range(3)]

        assert [answer.content for answer in answers] == [b"hello"] * 3
        assert server.connections == 1


async def test_tls_with_a_stranger_is_refused(transport: HttpTransport, server_tls: ssl.SSLContext):
    """A certificate of an authority that nobody vouches for raises ConnectError, before a byte of the request."""
    async with scripted_server(echo, server_tls) as server:
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            await post(transport, server.url)

        assert server.requests == []


async def test_tls_with_another_host_is_refused(authority: trustme.CA):
    """A trusted certificate for another host raises ConnectError, before a byte of the request."""
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("example.com").configure_cert(tls)
    async with HttpTransport(trusting) as transport, scripted_server(echo, tls) as server:
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            await post(transport, server.url)

        assert server.requests == []


async def test_plain_http_on_a_tls_address_is_refused(transport: HttpTransport):
    """A server that does not speak TLS where it should raises ConnectError."""

    async def script(peer: Peer) -> None:
        await peer.send(http_answer(b"", 400))
        await peer.gone()

    async with scripted_server(script) as server:
        with pytest.raises(httpx.ConnectError, match="no TLS with"):
            await post(transport, server.url.replace("http:", "https:"))
