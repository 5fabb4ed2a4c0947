"""What comes of one exchange, and how to read what the other side wrote. Pure.

Answers are hostile input: JSON that nests without end, texts that PostgreSQL cannot store, control characters that
rewrite a terminal, error messages that repeat the key they were asked with.
"""

import json
from codecs import BOM_UTF8
from collections.abc import Mapping
from typing import Any, Final

import attrs

EXCERPT_LENGTH: Final = 200
"""Characters of a foreign text that are kept for people to read."""


@attrs.frozen
class Answer:
    """A whole answer.

    Attributes:
        status: The HTTP status.
        fields: The headers as they came; of those with one name, the last.
        body: The body.
    """

    status: int
    fields: Mapping[bytes, bytes]
    body: bytes

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, with names in lower case. Made when asked for: of most answers no header is looked at."""
        fields = self.fields.items()
        return {name.decode("latin-1").lower(): value.decode("latin-1").strip(" \t") for name, value in fields}


@attrs.frozen
class Fault:
    """There is no whole answer.

    Attributes:
        reason: What happened, for people; without control characters.
        begun: Whether a byte of the request may have gone out. If not, the other side cannot have acted on it.
        timed_out: Whether a deadline ended the exchange.
    """

    reason: str
    begun: bool
    timed_out: bool = False


def read_json(body: bytes) -> Any:
    """The value that the body holds, or None when it is no JSON in UTF-8.

    The standard library's parser, because it accepts the escapes of lone surrogates that Python servers write when a
    model breaks off inside an emoji; orjson refuses the whole answer, which is paid for.
    """
    try:
        return json.loads(body.removeprefix(BOM_UTF8).decode())
    except (ValueError, RecursionError):
        return None


def mapping(value: Any) -> Mapping[str, Any]:
    """The value if it is a JSON object, else an empty one, so that fields can be asked for whatever came."""
    return value if isinstance(value, dict) else {}


def storable(text: str) -> str:
    """The text without what PostgreSQL cannot store: NUL and lone surrogates."""
    return text.replace("\0", "").encode("utf-8", "ignore").decode("utf-8")


def excerpt(text: str, secret: str) -> str:
    """The start of a foreign text on one line, fit for logs and for the database.

    Args:
        text: The text.
        secret: What must not be in it: the key that the request was made with, empty for none.
    """
    if secret:
        text = text.replace(secret, "***")
    # Four times the length is read, so that runs of white space do not use it up, and a megabyte costs nothing.
    start = text[: 4 * EXCERPT_LENGTH]
    printable = start if start.isprintable() else "".join([char if char.isprintable() else " " for char in start])
    line = " ".join(printable.split())
    return line if len(line) <= EXCERPT_LENGTH else f"{line[: EXCERPT_LENGTH - 1]}…"
