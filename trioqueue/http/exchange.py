"""One POST with one deadline for all of it, whose result is a value: an answer, or a fault.

Read time-outs do not bound an exchange: a server that drips white space (OpenRouter does, to keep connections alive)
defeats them. The deadline here covers connecting, writing, and reading the last byte; it is the only one.
"""

from collections.abc import Mapping
from typing import TypeAlias

import httpx
import trio

from trioqueue.http.answers import Answer, Fault, excerpt
from trioqueue.http.posts import Destination, Post, Transport, UnusableEndpoint, checked_header, destination

Exchanged: TypeAlias = Answer | Fault
"""What comes of one POST."""


class Endpoint:
    """One address that JSON is posted to.

    Args:
        url: The address, http or https.
        headers: Headers of every request, among them the key.
        transport: Who carries the requests. It stays the caller's, who closes it.

    Raises:
        UnusableEndpoint: The address or a header cannot be used.
    """

    def __init__(self, url: str, headers: Mapping[str, str], transport: Transport) -> None:
        self._destination = destination(url, headers)
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
        post = Post(content, repeatable=repeatable)
        return await _exchange(self._destination, post, self._transport, headers, timeout)


async def get(url: str, headers: Mapping[str, str], transport: Transport, *, timeout: float) -> Exchanged:
    """Get what is at an address; it may be asked for twice. Faults are returned, as by `Endpoint.post`.

    Args:
        url: The address, http or https.
        headers: Headers of the request, among them the key.
        transport: Who carries the request.
        timeout: Seconds for the whole exchange.

    Raises:
        UnusableEndpoint: The address or a header cannot be used.
    """
    return await _exchange(destination(url, headers, "GET"), Post(b"", repeatable=True), transport, None, timeout)


async def _exchange(
    destination: Destination, post: Post, transport: Transport, headers: Mapping[str, str] | None, timeout: float
) -> Exchanged:
    with trio.move_on_after(max(timeout, 0.0)):
        try:
            if headers:
                post.headers = tuple([checked_header(name, value) for name, value in headers.items()])
            return await transport.post(destination, post)
        except (httpx.HTTPError, UnusableEndpoint) as error:
            reason = excerpt(str(error), "") or type(error).__name__
            return Fault(reason, begun=post.begun, timed_out=isinstance(error, httpx.TimeoutException))
    return Fault(f"no whole answer within {timeout:g} s", begun=post.begun, timed_out=True)
