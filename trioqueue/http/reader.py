"""Reading answers from bytes, whatever the pieces in which they come. Does no I/O.

httptools wraps llhttp, the parser of Node: what it refuses (line ends without CR, two lengths, a length beside chunks),
Node's clients refuse too. It bounds nothing; the bounds are here.
"""

from collections.abc import Mapping
from typing import Final

import httpx
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from trioqueue.http.answers import Answer

MOST_HEAD_BYTES: Final = 65_536
"""Bytes that may have come while the head of an answer is not complete. Servers write 8 to 32 kB at the most."""

_SWITCHING_PROTOCOLS: Final = 101

_FRAMING: Final = (b"content-length", b"transfer-encoding")


class AnswerReader:
    """Reads the answers of one connection, one after the other.

    The methods `on_` are those that httptools calls. Two of these are methods of a dictionary and a list, because they
    are called for every header and every piece of a body and have nothing to decide.

    Args:
        max_bytes: The most bytes of an answer, head and framing included.

    Attributes:
        begun: Whether a byte of the answer has come.
        complete: Whether the answer is whole.
        clean: Whether another answer may follow: the server keeps the connection, and no byte came beyond the answer.
    """

    def __init__(self, max_bytes: int) -> None:
        self.begun = False
        self.complete = False
        self.clean = False
        self._max_bytes = max_bytes
        self._received = 0
        self._status = 0
        self._headers: Mapping[bytes, bytes] | None = None
        self._fields: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self.on_header = self._fields.__setitem__
        self.on_body = self._body.append
        self._parser = HttpResponseParser(self)

    def feed(self, data: bytes) -> None:
        """Read on; no bytes mean that the connection has ended.

        Raises:
            httpx.RemoteProtocolError: This is no whole answer within the bounds, and the reader of no further use.
        """
        if not data:
            return self._end()
        self.begun = True
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self.clean = False
            if not self.complete:
                raise httpx.RemoteProtocolError(f"the answer is broken: {error.__context__ or error}") from error
        bound = self._max_bytes if self._headers is not None else min(self._max_bytes, MOST_HEAD_BYTES)
        if self._received > bound:
            raise httpx.RemoteProtocolError(f"the answer, or its head, is larger than {bound} bytes")
        return None

    def take(self) -> Answer:
        """The answer, once it is complete; then the next one may come."""
        answer = Answer(self._status, self._headers or {}, b"".join(self._body))
        self.begun = self.complete = False
        self._received = 0
        self._headers = None
        self._fields.clear()
        self._body.clear()
        return answer

    def _end(self) -> None:
        # The connection's end is the answer's where no header tells its length.
        if self._headers is None or any(name.lower() in _FRAMING for name in self._headers):
            raise httpx.RemoteProtocolError("the answer is broken: the connection ended in the middle of it")
        self.complete, self.clean = True, False

    def on_message_begin(self) -> None:
        """A byte came where an answer begins."""
        if self.complete:
            raise HttpParserError("something came beyond the answer")

    def on_headers_complete(self) -> None:
        """A head is whole: the answer's, or one of the 100s before it."""
        self._status = self._parser.get_status_code()
        if self._status == _SWITCHING_PROTOCOLS:
            raise HttpParserError("it switches protocols, which nobody asked for")
        if self._status >= 200:
            # A copy: what comes after the body (trailers) is not to be taken for a header.
            self._headers = self._fields.copy()
        self._fields.clear()

    def on_message_complete(self) -> None:
        """The answer is whole, or one of the 100s before it."""
        self.complete = self._headers is not None
        self.clean = self.complete and self._parser.should_keep_alive()
