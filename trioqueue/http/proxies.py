"""The way to an address: our transport, or httpx's own through the proxy that the environment names for it.

HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY mean what they mean to curl and to httpx's clients. httpx's
transport costs more CPU for each request; correctness through a proxy is worth more there than speed.
"""

from ipaddress import ip_address
from urllib.request import getproxies, proxy_bypass

import httpx

from trioqueue.domain.errors import TrioqueueError
from trioqueue.http.transport import IDLE_SECONDS, HttpTransport


class UnusableProxy(TrioqueueError):
    """The environment names a proxy that cannot be used."""


def transport_for(url: str) -> httpx.AsyncBaseTransport:
    """A transport for requests to the origin of `url`. Who gets it closes it.

    Raises:
        UnusableProxy: The environment names a proxy for it that httpx cannot use.
    """
    address = httpx.URL(url)
    proxy = _proxy_for(address)
    if proxy is None:
        return HttpTransport()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None, keepalive_expiry=IDLE_SECONDS)
    try:
        return httpx.AsyncHTTPTransport(proxy=proxy, limits=limits)
    except (ImportError, ValueError, httpx.InvalidURL):
        kind = proxy.partition("://")[0]
        raise UnusableProxy(
            f"the environment names a proxy of the kind {kind!r} for {address.host}, which cannot be used; "
            "name an http or https proxy, or add the host to NO_PROXY"
        ) from None


def _proxy_for(address: httpx.URL) -> str | None:
    proxies = getproxies()
    proxy = proxies.get(address.scheme) or proxies.get("all")
    port = address.port or (443 if address.scheme == "https" else 80)
    if not proxy or _is_loopback(address.host) or proxy_bypass(f"{address.host}:{port}"):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_loopback(host: str) -> bool:
    """Whether the host is this machine, which a proxy would look for on its own."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
