"""One POST: an answer, or a fault that tells whether the request had begun."""

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import trio

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
from trioqueue.http.answers import Answer, Fault
from trioqueue.http.exchange import Endpoint
from trioqueue.http.posts import Transport, UnusableEndpoint
from trioqueue.http.proxies import HttpxTransport
from trioqueue.http.transport import MAX_ANSWER_BYTES, HttpTransport

SOON = 0.05
"""Seconds until the deadlines that are meant to be missed."""

KEY = "sk-or-v1-0123456789abcdef"


def over_httpx() -> HttpxTransport:
    """What carries requests through proxies."""
    return HttpxTransport(httpx.AsyncHTTPTransport())


@pytest.fixture(params=[HttpTransport, over_httpx], ids=["ours", "of httpx"])
async def transport(request: pytest.FixtureRequest) -> AsyncIterator[Transport]:
    """Our transport, and the one of httpx."""
    async with request.param() as transport:
        yield transport


def endpoint(url: str, transport: Transport) -> Endpoint:
    """An endpoint with a key."""
    return Endpoint(url, {"Authorization": f"Bearer {KEY}"}, transport)


async def test_answer_has_status_headers_and_body(transport: Transport):
    """Any whole answer is an answer, whatever its status; its headers have names in lower case."""
    async with scripted_server(answering(http_answer(b"no", 429, "Retry-After: 7"))) as server:
        answer = await endpoint(server.url, transport).post(b"{}", timeout=5)

        assert isinstance(answer, Answer)
        assert (answer.status, answer.body) == (429, b"no")
        assert answer.headers["retry-after"] == "7"


async def test_request_carries_headers_of_endpoint_and_call(transport: Transport):
    """JSON is announced, the key and the headers of the call are sent, and no encoding is asked for."""
    async with scripted_server(echo) as server:
        answer = await endpoint(server.url, transport).post(b'{"a": 1}', timeout=5, headers={"Idempotency-Key": "k:1"})

        assert isinstance(answer, Answer)
        assert answer.body == b'{"a": 1}'
        lines = server.requests[0].lower().split(b"\r\n")
        expected = [b"content-type: application/json", b"idempotency-key: k:1", b"accept-encoding: identity"]
        assert set(expected) <= set(lines)
        assert f"authorization: bearer {KEY}".encode() in lines


async def test_redirect_is_an_answer_and_not_followed(transport: Transport):
    """A key is not carried to wherever an answer points."""
    async with scripted_server(answering(http_answer(b"", 307, "Location: /elsewhere"))) as server:
        answer = await endpoint(server.url, transport).post(b"{}", timeout=5)

        assert isinstance(answer, Answer)
        assert answer.status == 307
        assert len(server.requests) == 1


async def reset_after_request(peer: Peer) -> None:
    """Take the request and reset the connection."""
    await peer.request()
    await peer.reset()


async def cut_body(peer: Peer) -> None:
    """Send half of the promised answer, and close."""
    await peer.request()
    await peer.send(http_answer(b"hello")[:-2])


async def too_much(peer: Peer) -> None:
    """Send more than an answer may have."""
    await peer.request()
    await peer.send(http_answer(b"x" * (MAX_ANSWER_BYTES + 1)))


@pytest.mark.parametrize("script", [read_and_close, reset_after_request, cut_body, too_much])
async def test_fault_after_the_request_began(transport: Transport, script: Any):
    """A close, a reset, half an answer, or one too large: the other side may have acted on the request."""
    async with scripted_server(script) as server:
        fault = await endpoint(server.url, transport).post(b"{}", timeout=5)

        assert isinstance(fault, Fault)
        assert (fault.begun, fault.timed_out) == (True, False)
        assert fault.reason


@pytest.mark.parametrize("script", [read_and_hang, drip])
async def test_deadline_holds_against_silence_and_drips(transport: Transport, script: Any):
    """The deadline ends an exchange in which nothing comes, and one in which bytes never cease to come."""
    async with scripted_server(script) as server:
        with trio.fail_after(5):
            fault = await endpoint(server.url, transport).post(b"{}", timeout=SOON)

        assert fault == Fault(f"no whole answer within {SOON:g} s", begun=True, timed_out=True)


async def test_deadline_holds_against_a_server_that_does_not_read():
    """The deadline ends an exchange whose request is not taken.

    That of httpx is left out: it leaves the body's generator to the garbage collector when a write is cancelled.
    """

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(http_answer())
        await trio.sleep_forever()

    async with HttpTransport() as transport, scripted_server(script) as server:
        there = endpoint(server.url, transport)
        await there.post(b"{}", timeout=5)
        with trio.fail_after(5):
            fault = await there.post(b"x" * 32_000_000, timeout=SOON)

        assert fault == Fault(f"no whole answer within {SOON:g} s", begun=True, timed_out=True)


async def test_refused_connection_has_not_begun(transport: Transport):
    """Where nobody listens, the request has certainly not gone out."""
    with refusing_port() as port:
        fault = await endpoint(f"http://127.0.0.1:{port}", transport).post(b"{}", timeout=5)

    assert isinstance(fault, Fault)
    assert (fault.begun, fault.timed_out) == (False, False)


async def test_tls_failure_has_not_begun(transport: Transport):
    """A server that closes in the handshake has seen nothing of the request."""
    async with scripted_server(Peer.close) as server:
        fault = await endpoint(server.url.replace("http:", "https:"), transport).post(b"{}", timeout=5)

        assert isinstance(fault, Fault)
        assert (fault.begun, fault.timed_out) == (False, False)


async def test_deadline_in_the_handshake_has_not_begun():
    """A deadline that comes while the connection is made tells that nothing went out, and closes the connection.

    That of httpx is left out: it leaves the socket to the garbage collector when a handshake is cancelled.
    """
    async with HttpTransport() as transport, scripted_server(Peer.gone) as server:
        fault = await endpoint(server.url.replace("http:", "https:"), transport).post(b"{}", timeout=SOON)

        assert isinstance(fault, Fault)
        assert (fault.begun, fault.timed_out) == (False, True)


@pytest.mark.parametrize("timeout", [0.0, -1.0])
async def test_no_time_left_means_not_begun(timeout: float):
    """Without time nothing goes out, on a kept connection neither."""
    async with HttpTransport() as transport, scripted_server(echo) as server:
        there = endpoint(server.url, transport)
        await there.post(b"{}", timeout=5)
        fault = await there.post(b"{}", timeout=timeout)

        assert isinstance(fault, Fault)
        assert (fault.begun, fault.timed_out) == (False, True)
        assert len(server.requests) == 1


async def test_cancellation_from_outside_passes_through(transport: Transport):
    """A scope around the exchange that is cancelled ends it, and no value is made of it."""
    results: list[object] = []

    async def post(server: ScriptedServer) -> None:
        results.append(await endpoint(server.url, transport).post(b"{}", timeout=60))

    async with scripted_server(read_and_hang) as server:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(post, server)
            await until(lambda: len(server.requests) == 1)
            nursery.cancel_scope.cancel()

        assert nursery.cancel_scope.cancelled_caught
        assert results == []


async def close_at_second_request(peer: Peer) -> None:
    """Answer once, then take a request and close."""
    await peer.request()
    await peer.send(http_answer(b"hello"))
    await peer.request()


@pytest.mark.parametrize(("repeatable", "requests"), [(True, 3), (False, 2)])
async def test_unanswered_request_is_repeated_only_if_allowed(repeatable: bool, requests: int):
    """A kept connection closed without an answer is a fault that had begun, unless the request may be repeated."""
    async with HttpTransport() as transport, scripted_server(close_at_second_request) as server:
        there = endpoint(server.url, transport)
        await there.post(b"{}", timeout=5)
        exchanged = await there.post(b"{}", timeout=5, repeatable=repeatable)

        assert len(server.requests) == requests
        assert (exchanged.body == b"hello") if isinstance(exchanged, Answer) else exchanged.begun
        assert isinstance(exchanged, Answer) == repeatable


async def test_header_of_the_call_that_http_forbids_has_not_begun(transport: Transport):
    """A header that cannot be sent is a fault before the request."""
    async with scripted_server(echo) as server:
        fault = await endpoint(server.url, transport).post(b"{}", timeout=5, headers={"Idempotency-Key": "a\nb"})

        assert isinstance(fault, Fault)
        assert server.requests == []
        assert "a\nb" not in fault.reason


@pytest.mark.parametrize("key", [f"{KEY}\n", f" {KEY}", "chave-não-ascii", "a\x00b", "a\r\nHost: b"])
def test_key_that_http_forbids_is_refused_without_being_shown(key: str):
    """A key with a line end, as files have, is refused when the endpoint is made, and the error does not show it."""
    with pytest.raises(UnusableEndpoint, match="X-Service-Role-Key") as caught:
        Endpoint("https://example.com", {"X-Service-Role-Key": key}, HttpTransport())

    assert key.strip() not in repr(caught.value)


@pytest.mark.parametrize(
    "url", ["", "example.com", "ftp://example.com", "http://", "http://user:hunter2@a:b", "http://[::1", "/v1"]
)
def test_address_that_cannot_be_used_is_refused_without_being_shown(url: str):
    """An address that is none is refused when the endpoint is made; it may hold a password and is not shown."""
    with pytest.raises(UnusableEndpoint, match=re.escape("http:// or https://")) as caught:
        Endpoint(url, {}, HttpTransport())

    assert "hunter2" not in repr(caught.value)


def test_key_is_not_shown_by_the_endpoint():
    """The endpoint's representation, and that of what it holds, is without the key."""
    there = endpoint("https://example.com", HttpTransport())

    assert KEY not in repr(there)
