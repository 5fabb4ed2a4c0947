"""Whether an address can be reached, without a byte of a request."""

import ssl

import pytest
import trio
import trustme

from tests.support.scripted_server import Peer, read_and_hang, refusing_port, scripted_server
from trioqueue.http.posts import UnusableEndpoint
from trioqueue.http.reach import reach


@pytest.fixture
def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context for 127.0.0.1, and that of a client that trusts it."""
    authority = trustme.CA()
    server, client = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH), ssl.create_default_context()
    authority.issue_cert("127.0.0.1").configure_cert(server)
    authority.configure_trust(client)
    return server, client


async def test_tcp() -> None:
    """A port that listens is reached, and gets no byte."""
    async with scripted_server(read_and_hang) as server:
        reached = await reach(f"{server.url}/send", timeout=5)

    assert (reached.fault, reached.proxied, reached.whom) == ("", False, f"127.0.0.1 port {server.port}")
    assert (server.connections, server.requests) == (1, [])


async def test_tls(contexts: tuple[ssl.SSLContext, ssl.SSLContext]) -> None:
    """With https the certificate is verified."""
    async with scripted_server(read_and_hang, contexts[0]) as server:
        trusted = await reach(server.url, timeout=5, ssl_context=contexts[1])
        strange = await reach(server.url, timeout=5)

    assert trusted.fault == ""
    assert "certificate verify failed" in strange.fault
    assert server.requests == []


async def test_nobody_there() -> None:
    """A refused connection is a fault in words."""
    with refusing_port() as port:
        reached = await reach(f"http://127.0.0.1:{port}/x", timeout=5)

    assert "Connection refused" in reached.fault


async def test_a_handshake_that_never_ends() -> None:
    """Somebody who does not speak TLS is given up."""

    async def silent(peer: Peer) -> None:
        await peer.gone()

    async with scripted_server(silent) as server:
        with trio.fail_after(10):
            reached = await reach(f"https://127.0.0.1:{server.port}", timeout=0.1)

    assert "within 0.1 s" in reached.fault


async def test_an_address_that_is_none() -> None:
    """What cannot be an address is an error, as for requests."""
    with pytest.raises(UnusableEndpoint):
        await reach("ftp://x", timeout=1)
