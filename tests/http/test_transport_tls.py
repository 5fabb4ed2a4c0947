"""The transport over TLS."""

import ssl

import httpx
import pytest
import trustme

from tests.support.posting import post
from tests.support.scripted_server import Peer, echo, http_answer, scripted_server
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


async def test_tls_with_a_trusted_certificate(authority: trustme.CA, server_tls: ssl.SSLContext):
    """Over TLS requests are answered and connections kept as without."""
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with HttpTransport(trusting) as transport, scripted_server(echo, server_tls) as server:
        answers = [await post(transport, server.url, b"hello") for _ in range(3)]

        assert [answer.body for answer in answers] == [b"hello"] * 3
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
