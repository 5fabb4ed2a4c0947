"""The transport over TLS."""

import ssl
from collections.abc import AsyncIterator

import httpx
import pytest
import trio
import trustme

from tests.support.posting import post
from tests.support.scripted_server import Peer, Script, answering, echo, http_answer, scripted_server, until
from trioqueue.http.transport import HttpTransport


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


@pytest.fixture
async def trusting(authority: trustme.CA) -> AsyncIterator[HttpTransport]:
    """A transport that trusts the authority."""
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with HttpTransport(context) as transport:
        yield transport


async def test_tls_with_a_trusted_certificate(trusting: HttpTransport, server_tls: ssl.SSLContext):
    """Over TLS requests are answered and connections kept as without."""
    async with scripted_server(echo, server_tls) as server:
        answers = [await post(trusting, server.url, b"hello") for _ in range(3)]

        assert [answer.body for answer in answers] == [b"hello"] * 3
        assert server.connections == 1


async def test_many_records_each_way(trusting: HttpTransport, server_tls: ssl.SSLContext):
    """Bodies of many records of TLS, more than sockets hold, go and come whole, also several at once."""
    body = bytes(range(256)) * 8_000
    answers: list[bytes] = []

    async def caller(url: str) -> None:
        answers.append((await post(trusting, url, body)).body)

    async with scripted_server(echo, server_tls) as server:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(caller, server.url)

        assert answers == [body] * 3


async def test_answer_in_many_small_records(trusting: HttpTransport, server_tls: ssl.SSLContext):
    """An answer that comes byte by byte, each a record of its own, is read to its end."""
    answer = http_answer(b"hello")

    async def script(peer: Peer) -> None:
        while True:
            await peer.request()
            for place in range(len(answer)):
                await peer.send(answer[place : place + 1])

    async with scripted_server(script, server_tls) as server:
        answers = [await post(trusting, server.url) for _ in range(2)]

        assert [answer.body for answer in answers] == [b"hello"] * 2
        assert server.connections == 1


async def test_close_in_tls_is_noticed_before_the_request_is_written(
    trusting: HttpTransport, server_tls: ssl.SSLContext
):
    """A kept connection whose server has said goodbye in TLS is not used."""
    closed = trio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(http_answer())
        await peer.close()
        closed.set()

    async with scripted_server(script, server_tls) as server:
        await post(trusting, server.url)
        await until(closed.is_set)
        answer = await post(trusting, server.url)

        assert answer.status == 200
        assert len(server.requests) == server.connections == 2


@pytest.mark.parametrize("end", [Peer.close, Peer.reset])
async def test_connection_lost_in_tls(trusting: HttpTransport, server_tls: ssl.SSLContext, end: Script):
    """A connection that ends in the middle of an answer, with goodbye or without, is a fault."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(http_answer(b"hello")[:-2])
        await end(peer)

    async with scripted_server(script, server_tls) as server:
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await post(trusting, server.url)


async def test_surplus_in_the_same_record_ends_the_connection(trusting: HttpTransport, server_tls: ssl.SSLContext):
    """What comes beyond the answer within TLS is noticed as it is without."""
    async with scripted_server(answering(http_answer(b"first") + http_answer(b"x")), server_tls) as server:
        answers = [await post(trusting, server.url) for _ in range(2)]

        assert [answer.body for answer in answers] == [b"first"] * 2
        assert server.connections == 2


async def test_request_that_is_not_taken_in_tls_is_ended_by_the_deadline(
    trusting: HttpTransport, server_tls: ssl.SSLContext
):
    """A server that shakes hands and then does not read does not hold the request for ever."""
    begun = trio.Event()

    async def script(peer: Peer) -> None:
        await peer.send(b"")
        begun.set()
        await trio.sleep_forever()

    async with scripted_server(script, server_tls) as server, trio.open_nursery() as nursery:
        nursery.start_soon(post, trusting, server.url, b"x" * 32_000_000)
        await until(begun.is_set)
        nursery.cancel_scope.cancel()

    assert nursery.cancel_scope.cancelled_caught


async def test_tls_with_a_stranger_is_refused(transport: HttpTransport, server_tls: ssl.SSLContext):
    """A certificate of an authority that nobody vouches for raises ConnectError, before a byte of the request."""
    async with scripted_server(echo, server_tls) as server:
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            await post(transport, server.url)

        assert server.requests == []


async def test_tls_with_another_host_is_refused(authority: trustme.CA, trusting: HttpTransport):
    """A trusted certificate for another host raises ConnectError, before a byte of the request."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("example.com").configure_cert(tls)
    async with scripted_server(echo, tls) as server:
        with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
            await post(trusting, server.url)

        assert server.requests == []


async def test_plain_http_on_a_tls_address_is_refused(transport: HttpTransport):
    """A server that does not speak TLS where it should raises ConnectError."""

    async def script(peer: Peer) -> None:
        await peer.send(http_answer(b"", 400))
        await peer.gone()

    async with scripted_server(script) as server:
        with pytest.raises(httpx.ConnectError, match="no TLS with"):
            await post(transport, server.url.replace("http:", "https:"))
