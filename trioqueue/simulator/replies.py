"""What the server does about one request: a closed set, from a whole answer to a broken connection.

The endpoints decide by returning one of these; trioqueue/simulator/server.py carries it out.
"""

from typing import Any, Final, TypeAlias

import attrs
import orjson

Headers: TypeAlias = tuple[tuple[bytes, bytes], ...]

JSON: Final = b"application/json"


@attrs.frozen
class Answer:
    """A whole answer with a Content-Length."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: Headers = ()


@attrs.frozen
class CutOff:
    """The head of the answer promises all of its body; half of it comes, then the connection closes."""

    answer: Answer


@attrs.frozen
class Drip:
    """White space comes byte by byte, as the keep-alives of a slow model do, and then the answer.

    Attributes:
        answer: What comes in the end.
        interval: Seconds between two bytes.
        count: How many bytes, or None for no end: the answer never comes.
    """

    answer: Answer
    interval: float
    count: int | None


@attrs.frozen
class Hang:
    """Nothing comes, until the client gives up."""


@attrs.frozen
class Close:
    """The connection ends in good order, without a byte of an answer."""


@attrs.frozen
class Reset:
    """The connection is reset (RST), without a byte of an answer."""


@attrs.frozen
class Outage:
    """The whole server goes away: all its connections are reset, new ones are refused for `seconds`."""

    seconds: float


PROXY_PAGE: Final = Answer(
    502,
    b"<!DOCTYPE html><html><head><title>Bad Gateway</title></head><body><h1>Bad Gateway</h1></body></html>",
    b"text/html; charset=utf-8",
)
"""What a proxy on the way answers when it cannot reach the service behind it."""

Reply: TypeAlias = Answer | CutOff | Drip | Hang | Close | Reset | Outage


def json_answer(status: int, value: Any, *, headers: Headers = ()) -> Answer:
    """An answer whose body is `value` as JSON."""
    return Answer(status, orjson.dumps(value), headers=headers)
