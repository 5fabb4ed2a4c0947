"""Whether an address can be reached, without a byte of a request: DNS, TCP, and TLS where the scheme is https."""

import ssl
from typing import Final

import attrs
import httpx
import trio

from trioqueue.http.answers import excerpt
from trioqueue.http.connection import connect
from trioqueue.http.posts import Origin, destination
from trioqueue.http.proxies import proxy_for, transport_for
from trioqueue.http.transport import MAX_ANSWER_BYTES

_PORTS: Final = {"http": 80, "https": 443}


@attrs.frozen
class Reached:
    """How far a connection came.

    Attributes:
        whom: Host and port that were connected to: the address's own, or its proxy's.
        fault: Why there was no connection; empty where there was one.
        proxied: Whether that was a proxy. What lies behind it cannot be reached without a request.
    """

    whom: str
    fault: str = ""
    proxied: bool = False


async def reach(url: str, *, timeout: float, ssl_context: ssl.SSLContext | None = None) -> Reached:
    """Connect to whom a request to the address would go, and close again.

    Args:
        url: The address.
        timeout: Seconds that it may take.
        ssl_context: What the server is verified against, by default httpx's usual trust store.

    Raises:
        UnusableEndpoint: The address cannot be used.
        UnusableProxy: The environment names a proxy for it that cannot be used.
    """
    target = destination(url, {})
    origin = target.origin
    proxy = proxy_for(target.url)
    if proxy is not None:
        await transport_for(url).aclose()  # says so if no request could pass through it
        origin = _origin_of_proxy(proxy)
    whom = f"{origin[1]} port {origin[2]}"
    with trio.move_on_after(timeout):
        try:
            connection = await connect(origin, ssl_context, MAX_ANSWER_BYTES)
        except httpx.ConnectError as error:
            return Reached(whom, excerpt(str(error), ""), proxied=proxy is not None)
        connection.close()
        return Reached(whom, proxied=proxy is not None)
    return Reached(whom, f"no connection to {whom} within {timeout:g} s", proxied=proxy is not None)


def _origin_of_proxy(proxy: str) -> Origin:
    address = httpx.URL(proxy)
    scheme = "https" if address.scheme == "https" else "http"
    return scheme, address.host, address.port or _PORTS[scheme]
