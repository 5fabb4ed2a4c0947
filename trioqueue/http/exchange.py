"""One POST with one deadline for all of it, whose result is a value: an answer, or a fault.

Read time-outs do not bound an exchange: a server that drips white space (OpenRouter does, to keep connections alive)
defeats them. The deadline here covers connecting, writing, and reading the last byte. A request is built once
and handed to the transport: httpx's client would add redirects, cookies and hooks, which are not wanted, for a
quarter more CPU.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import attrs
import httpx
import trio

from trioqueue.domain.errors import TrioqueueError
from trioqueue.http.answers import Answer, Fault, excerpt
from trioqueue.http.transport import MAX_ANSWER_BYTES, REPEATABLE, REQUEST_BEGINS

Exchanged: TypeAlias = Answer | Fault
"""What comes of one POST."""

_HEADERS: Final = {
    # No encoding: answers are small, and nobody can make a megabyte of a kilobyte.
    "Accept-Encoding": "identity",
    "Accept": "application/json",
    "Content-Type": "application/json",
    "User-Agent": "trioqueue",
}


class UnusableEndpoint(TrioqueueError):
    """An address or a header that no request can be made with. Does not show the header's value."""


@attrs.define
class _Progress:
    """How far a request has come. An HTTP transport reports it by the request extension `trace`."""

    begun: bool = False

    async def trace(self, event: str, info: Mapping[str, Any]) -> None:
        # A tunnel through a proxy begins with a request of its own, that the other side never sees.
        if event == REQUEST_BEGINS and info["request"].method != b"CONNECT":
            self.begun = True


class Endpoint:
    """One address that JSON is posted to.

    Args:
        url: The address, http or https.
        headers: Headers of every request, among them the key.
        transport: Who carries the requests. It stays the caller's, who closes it.

    Raises:
        UnusableEndpoint: The address or a header cannot be used.
    """

    def __init__(self, url: str, headers: Mapping[str, str], transport: httpx.AsyncBaseTransport) -> None:
        self._url = _checked_url(url)
        self._headers = [_checked_header(name, value) for name, value in {**_HEADERS, **headers}.items()]
        self._transport = transport

    async def post(
        self, content: bytes, *, timeout: float, headers: Mapping[str, str] | None = None, repeatable: bool = False
    ) -> Exchanged:
        """Post `content` once. Faults are returned, never raised; a cancellation from outside passes through.

        Args:
            content: The body.
            timeout: Seconds for the whole exchange.
            headers: Headers of this request alone.
            repeatable: Whether the request may be made a second time when a kept connection was closed without a
                byte of an answer. Most likely the server never read it then, but that is no proof.
        """
        progress = _Progress()
        with trio.move_on_after(max(timeout, 0.0)):
            return await self._exchange(content, headers or {}, progress, repeatable=repeatable)
        return Fault(f"no whole answer within {timeout:g} s", begun=progress.begun, timed_out=True)

    async def _exchange(
        self, content: bytes, headers: Mapping[str, str], progress: _Progress, *, repeatable: bool
    ) -> Exchanged:
        extensions: dict[str, Any] = {"trace": progress.trace}
        if repeatable:
            extensions[REPEATABLE] = True
        own = [(name.encode(), value.encode()) for name, value in headers.items()]
        request = httpx.Request("POST", self._url, headers=self._headers + own, content=content, extensions=extensions)
        try:
            response = await self._transport.handle_async_request(request)
            try:
                body = await _read(response)
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            reason = excerpt(str(error), "") or type(error).__name__
            return Fault(reason, begun=progress.begun, timed_out=isinstance(error, httpx.TimeoutException))
        return Answer(response.status_code, response.headers, body)


async def _read(response: httpx.Response) -> bytes:
    # What is too much is read and dropped, until the deadline: to leave httpcore's generators in the middle leaks them.
    body = bytearray()
    async for data in response.aiter_raw():
        if len(body) <= MAX_ANSWER_BYTES:
            body += data
    if len(body) > MAX_ANSWER_BYTES:
        raise httpx.RemoteProtocolError(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def _checked_url(url: str) -> httpx.URL:
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        address = httpx.URL("")
    if address.scheme not in ("http", "https") or not address.host:
        # The address is not shown, because it may hold a password.
        raise UnusableEndpoint("an address must begin with http:// or https:// and name a host; check the settings")
    return address


def _checked_header(name: str, value: str) -> tuple[bytes, bytes]:
    if not (value.isascii() and value.isprintable()) or value != value.strip():
        raise UnusableEndpoint(f"the value for the header {name} holds characters that HTTP does not allow; check it")
    return name.encode("ascii"), value.encode("ascii")
