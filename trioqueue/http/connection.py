"""One connection of HTTP/1.1: bytes out, a whole answer in.

A plain socket that does not block, with trio only where there is something to wait for, and httptools (llhttp, the
parser of Node) on the reading side. In TLS it is the standard library's own socket; the calls are the same. trio's
streams and h11 do the same in four times the CPU, for the sake of uses that do not occur here: an exchange has one
task, and an answer is wanted whole.
"""

import os
import select
import socket
import ssl
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final, TypeVar

import httpx
import trio
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from trio.lowlevel import checkpoint_if_cancelled, wait_readable, wait_writable

from trioqueue.http.answers import Answer
from trioqueue.http.posts import Origin, Post

MOST_HEAD_BYTES: Final = 65_536
"""Bytes that an answer may have come to while its head is not complete. Servers allow 8 to 32 kB themselves."""

_RECEIVE_BYTES: Final = 65_536
"""More than a record of TLS has (16 kB), so that none is left half read where no poll sees it."""

_SWITCHING_PROTOCOLS: Final = 101

_Result = TypeVar("_Result")


class Unanswered(httpx.RemoteProtocolError):
    """A connection that had served before was closed without a byte of an answer.

    Most likely the server closed it while the request was on its way and never read it, which is no proof.
    """


class Connection:
    """One connection: idle, or in the middle of one exchange. Get one from `connect`.

    Attributes:
        idle_since: When it last came to rest, for its owner to know its age by.
    """

    def __init__(self, connected: socket.socket) -> None:
        self.idle_since = 0.0
        self._socket = connected
        self._poll = select.poll()
        self._poll.register(connected, select.POLLIN)
        self._served = False
        self._reader = _Reader()

    def is_silent(self) -> bool:
        """Whether there is nothing to read: neither bytes that nobody asked for nor the server's goodbye."""
        return not self._poll.poll(0)

    def close(self) -> None:
        """Close at once, from any state; there is nothing to gain from waiting for TLS to say goodbye."""
        self._socket.close()

    @property
    def reusable(self) -> bool:
        """Whether another exchange may follow: the server keeps it open, and no byte came beyond the answer."""
        return self._reader.clean

    async def exchange(self, request: bytes, post: Post, max_bytes: int) -> Answer:
        """Write a request and read the whole answer to it.

        Raises:
            Unanswered, httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError: There is no answer, and the
                connection is of no further use.
        """
        await checkpoint_if_cancelled()
        post.begun = True
        unsent = await self._send(request)
        reader = self._reader
        reader.start(max_bytes)
        while not reader.complete:
            await wait_readable(self._socket)
            try:
                data = self._socket.recv(_RECEIVE_BYTES)
            except (BlockingIOError, ssl.SSLWantReadError):
                continue  # a part of a record, or nothing after all
            except OSError as error:
                raise self._lost(unsent) from error
            if not data and not reader.received:
                raise self._lost(unsent)
            reader.feed(data)
        self._served = True
        return reader.answer()

    async def _send(self, request: bytes) -> OSError | None:
        """Write the request. An error is returned: a refusal may have come before all was written."""
        rest = memoryview(request)
        try:
            while rest:
                rest = rest[await _when_ready(self._socket, partial(self._socket.send, rest)) :]
        except OSError as error:
            return error
        return None

    def _lost(self, unsent: OSError | None) -> httpx.HTTPError:
        if self._reader.received:
            return httpx.ReadError("the connection was lost while the answer was read")
        if self._served:
            return Unanswered("a connection in use was closed without an answer")
        if unsent:
            return httpx.WriteError("the connection was lost while the request was written")
        return httpx.ReadError("the connection was lost before an answer came")


class _Reader:
    """Reads the answers of one connection, one after the other. The methods `on_` are those that httptools calls.

    Two of these are methods of a dictionary and a list, because they are called for every header and every piece of a
    body and have nothing to decide.

    Attributes:
        received: Bytes of the answer so far, framing included.
        complete: Whether the answer is whole.
        clean: Whether another answer may follow on the connection.
    """

    def __init__(self) -> None:
        self.received = 0
        self.complete = False
        self.clean = False
        self._max_bytes = 0
        self._status = 0
        self._headers: Mapping[bytes, bytes] | None = None
        self._fields: dict[bytes, bytes] = {}
        self._body: list[bytes] = []
        self.on_header = self._fields.__setitem__
        self.on_body = self._body.append
        self._parser = HttpResponseParser(self)

    def start(self, max_bytes: int) -> None:
        """Expect an answer of at most that many bytes."""
        self._max_bytes = max_bytes
        self.received = 0
        self.complete = self.clean = False
        self._headers = None
        self._fields.clear()
        self._body.clear()

    def feed(self, data: bytes) -> None:
        """Read on; no bytes mean that the connection has ended.

        Raises:
            httpx.RemoteProtocolError: This is no whole answer within the bounds.
        """
        if not data:
            return self._end()
        self.received += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            self.clean = False
            if not self.complete:
                raise httpx.RemoteProtocolError(f"the answer is broken: {error}") from error
        if self.received > self._max_bytes or (self._headers is None and self.received > MOST_HEAD_BYTES):
            raise httpx.RemoteProtocolError(f"the answer is larger than {self._max_bytes} bytes")
        return None

    def answer(self) -> Answer:
        """The answer, once it is complete."""
        return Answer(self._status, self._headers or {}, b"".join(self._body))

    def _end(self) -> None:
        """The connection's end is the answer's where no header says how long it is."""
        framing = (b"content-length", b"transfer-encoding")
        if self._headers is None or any(name.lower() in framing for name in self._headers):
            raise httpx.RemoteProtocolError("the answer is broken: the connection ended in the middle of it")
        self.complete = True

    def on_message_begin(self) -> None:
        if self.complete:
            raise HttpParserError("something came beyond the answer")

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        if self._status == _SWITCHING_PROTOCOLS:
            raise HttpParserError("a switch of protocols that nobody asked for")
        if self._status >= 200:
            # A copy: what comes after the body (trailers) is not to be taken for a header.
            self._headers = self._fields.copy()
        self._fields.clear()

    def on_message_complete(self) -> None:
        self.complete = self._headers is not None
        self.clean = self.complete and self._parser.should_keep_alive()


async def connect(origin: Origin, ssl_context: ssl.SSLContext) -> Connection:
    """Connect, and agree on TLS where the scheme is https.

    Raises:
        httpx.ConnectError: That is not possible.
    """
    scheme, host, port = origin
    try:
        stream = await trio.open_tcp_stream(host, port)
    except (OSError, ValueError) as error:  # ValueError: a name that cannot be a host's
        raise httpx.ConnectError(f"no connection to {host} port {port}: {_why(error)}") from error
    connected = socket.socket(fileno=stream.socket.detach())
    try:
        connected.setblocking(False)
        if scheme == "https":
            connected = ssl_context.wrap_socket(connected, server_hostname=host, do_handshake_on_connect=False)
            await _when_ready(connected, connected.do_handshake)
    except (OSError, ValueError) as error:
        connected.close()
        raise httpx.ConnectError(f"no TLS with {host} port {port}: {error}") from error
    except BaseException:
        connected.close()
        raise
    return Connection(connected)


async def _when_ready(connected: socket.socket, operation: Callable[[], _Result]) -> _Result:
    """Do what would block as soon as it does not."""
    while True:
        try:
            return operation()
        except ssl.SSLWantReadError:
            await wait_readable(connected)
        except (BlockingIOError, ssl.SSLWantWriteError):
            await wait_writable(connected)


def _why(error: Exception) -> str:
    """The reason of the first of the attempts, of which trio makes one for each address of the host."""
    group = error.__cause__
    if isinstance(group, ExceptionGroup) and isinstance(first := group.exceptions[0], OSError) and first.errno:
        return os.strerror(first.errno)
    return str(error)
