"""What is posted where, prepared once for each address, and the protocol of who carries it.

The head of a request is bytes from the start: of thousands of requests to one address only the length of the body and
a header or two differ, and to build and check the rest again cost more CPU than to send it.
"""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Final, TypeAlias

import attrs
import httpx
import trio

from trioqueue.domain.errors import TrioqueueError
from trioqueue.http.answers import Answer

Header: TypeAlias = tuple[bytes, bytes]

Origin: TypeAlias = tuple[str, str, int]
"""Scheme, host and port."""

_HEADERS: Final = {
    # No encoding: answers are small, and nobody can make a megabyte of a kilobyte.
    "Accept-Encoding": "identity",
    "Accept": "application/json",
    "Content-Type": "application/json",
    "User-Agent": "trioqueue",
}

_PORTS: Final = {"http": 80, "https": 443}


class UnusableEndpoint(TrioqueueError):
    """An address or a header that no request can be made with. Does not show the header's value."""


@attrs.frozen(eq=False)
class Destination:
    """An address that is posted to. Get one from `destination`.

    Attributes:
        url: The address.
        origin: Where its server is.
        headers: Headers of every request but Host and Content-Length; among them the key.
        head: The same as bytes, from the request line to the last of these headers.
        method: What is asked of it: POST, or GET, which has no body.
    """

    url: httpx.URL
    origin: Origin
    headers: tuple[Header, ...] = attrs.field(repr=False)
    head: bytes = attrs.field(repr=False)
    method: str = "POST"


@attrs.define(eq=False)
class Post:
    """One request on its way.

    Attributes:
        content: The body.
        headers: Headers of this request alone, checked.
        repeatable: Whether it may be made a second time when a kept connection was closed without a byte of an
            answer.
        begun: Whether a byte of it may have gone out. Who carries it says so before the first.
    """

    content: bytes
    headers: tuple[Header, ...] = ()
    repeatable: bool = False
    begun: bool = False


class Transport(trio.abc.AsyncResource):
    """Who carries requests, and keeps connections between them."""

    __slots__ = ()

    @abstractmethod
    async def post(self, destination: Destination, post: Post) -> Answer:
        """Exchange a request for a whole answer; who calls it bounds the time.

        Raises:
            httpx.HTTPError: There is none; `post.begun` tells whether the request may have gone out.
        """


def destination(url: str, headers: Mapping[str, str], method: str = "POST") -> Destination:
    """Prepare the requests to an address.

    Args:
        url: The address.
        headers: Headers of every request.
        method: POST, or GET.

    Raises:
        UnusableEndpoint: The address or a header cannot be used.
    """
    address = _checked_url(url)
    checked = tuple(checked_header(name, value) for name, value in {**_HEADERS, **headers}.items())
    host = address.raw_host.decode("ascii")
    first = b"%b %b HTTP/1.1\r\nHost: %b\r\n" % (method.encode("ascii"), address.raw_path, address.netloc)
    return Destination(
        url=address,
        origin=(address.scheme, host, address.port or _PORTS[address.scheme]),
        headers=checked,
        head=first + _lines(checked),
        method=method,
    )


def request(destination: Destination, post: Post) -> bytes:
    """The whole request."""
    head = destination.head + _lines(post.headers) if post.headers else destination.head
    if destination.method == "GET":
        return head + b"\r\n"
    return b"%bContent-Length: %d\r\n\r\n%b" % (head, len(post.content), post.content)


def _lines(headers: tuple[Header, ...]) -> bytes:
    """Checked headers as lines of a head."""
    return b"".join([b"%b: %b\r\n" % header for header in headers])


def checked_header(name: str, value: str) -> Header:
    """A header as bytes.

    Args:
        name: Its name, which must be ours.
        value: Its value, from wherever.

    Raises:
        UnusableEndpoint: The value has characters that would end the header, or that HTTP does not allow.
    """
    if not (value.isascii() and value.isprintable()) or value != value.strip():
        raise UnusableEndpoint(f"the value for the header {name} holds characters that HTTP does not allow; check it")
    return name.encode("ascii"), value.encode("ascii")


def _checked_url(url: str) -> httpx.URL:
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        address = httpx.URL("")
    if address.scheme not in _PORTS or not address.host:
        # The address is not shown, because it may hold a password.
        raise UnusableEndpoint("an address must begin with http:// or https:// and name a host; check the settings")
    return address
