"""The way to an address: our transport, or httpx's own through the proxy that the environment names for it.

HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY mean what they mean to curl and to httpx's clients. httpx's
transport costs more CPU for each request; correctness through a proxy is worth more there than speed.
"""

from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any, Final
from urllib.request import getproxies, proxy_bypass

import attrs
import httpx

from trioqueue.domain.errors import TrioqueueError
from trioqueue.http.answers import Answer
from trioqueue.http.posts import Destination, Post, Transport
from trioqueue.http.transport import IDLE_SECONDS, MAX_ANSWER_BYTES, HttpTransport

_REQUEST_BEGINS: Final = "http11.send_request_headers.started"
"""The event that httpcore tells before the first byte of a request goes out."""


class UnusableProxy(TrioqueueError):
    """The environment names a proxy that cannot be used."""


def transport_for(url: str) -> Transport:
    """A transport for requests to the origin of `url`. Who gets it closes it.

    Raises:
        UnusableProxy: The environment names a proxy for it that httpx cannot use.
    """
    address = httpx.URL(url)
    proxy = proxy_for(address)
    if proxy is None:
        return HttpTransport()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=IDLE_SECONDS)
    try:
        return HttpxTransport(httpx.AsyncHTTPTransport(proxy=proxy, limits=limits))
    except (ImportError, ValueError, httpx.InvalidURL):
        kind = proxy.partition("://")[0]
        raise UnusableProxy(
            f"the environment names a proxy of the kind {kind!r} for {address.host}, which cannot be used; "
            "name an http or https proxy, or add the host to NO_PROXY"
        ) from None


class HttpxTransport(Transport):
    """Requests over a transport of httpx.

    Args:
        carrier: That transport, which is closed with this one.
    """

    def __init__(self, carrier: httpx.AsyncBaseTransport) -> None:
        self._carrier = carrier

    async def post(self, destination: Destination, post: Post) -> Answer:
        """Exchange a request for a whole answer; see `trioqueue.http.posts.Transport`."""
        request = httpx.Request(
            destination.method,
            destination.url,
            headers=[*destination.headers, *post.headers],
            content=post.content or None,
            extensions={"trace": _Trace(post)},
        )
        response = await self._carrier.handle_async_request(request)
        try:
            body = await _read(response)
        finally:
            await response.aclose()
        return Answer(response.status_code, dict(response.headers.raw), body)

    async def aclose(self) -> None:
        """Close the carrier."""
        await self._carrier.aclose()


@attrs.frozen
class _Trace:
    """Told by httpcore how far a request has come."""

    post: Post

    async def __call__(self, event: str, info: Mapping[str, Any]) -> None:
        # A tunnel through a proxy begins with a request of its own, that the other side never sees.
        if event == _REQUEST_BEGINS and info["request"].method != b"CONNECT":
            self.post.begun = True


async def _read(response: httpx.Response) -> bytes:
    # What is too much is read and dropped, until the deadline: to leave httpcore's generators in the middle leaks them.
    body = bytearray()
    async for data in response.aiter_raw():
        if len(body) <= MAX_ANSWER_BYTES:
            body += data
    if len(body) > MAX_ANSWER_BYTES:
        raise httpx.RemoteProtocolError(f"the answer is larger than {MAX_ANSWER_BYTES} bytes")
    return bytes(body)


def proxy_for(address: httpx.URL) -> str | None:
    """The URL of the proxy that the environment names for an address, perhaps with a password; None for none."""
    proxies = getproxies()
    proxy = proxies.get(address.scheme) or proxies.get("all")
    port = address.port or (443 if address.scheme == "https" else 80)
    if not proxy or is_loopback(address.host) or proxy_bypass(f"{address.host}:{port}"):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def is_loopback(host: str) -> bool:
    """Whether the host is this machine, which a proxy would look for on its own."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
