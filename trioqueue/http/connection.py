"""One connection of HTTP/1.1: bytes out, a whole answer in.

A plain socket that does not block, or the standard library's own in TLS, whose calls are the same, with trio only
where there is something to wait for. trio's streams, h11 and the models of httpx took five times the CPU (0.18 ms a
call against 0.035) for the sake of uses that do not occur here: an exchange has one task, an answer is wanted whole.
"""

import os
import select
import socket
import ssl
from collections.abc import Awaitable, Callable
from functools import cache, partial
from typing import Final, TypeVar

import httpx
import trio
from trio.lowlevel import checkpoint_if_cancelled, wait_readable, wait_writable

from trioqueue.http.answers import Answer
from trioqueue.http.posts import Origin, Post
from trioqueue.http.reader import AnswerReader

_RECEIVE_BYTES: Final = 65_536
"""More than a record of TLS has (16 kB), so that none is left half read where no poll sees it."""

_Result = TypeVar("_Result")


class Unanswered(httpx.RemoteProtocolError):
    """A connection that had served before was closed without a byte of an answer.

    Most likely the server closed it while the request was on its way and never read it, which is no proof.
    """


class Connection:
    """One connection: idle, or in the middle of one exchange. Get one from `connect`.

    Args:
        connected: A socket that does not block.
        max_bytes: The most bytes of an answer.

    Attributes:
        idle_since: When it last came to rest, for its owner to know its age by.
    """

    def __init__(self, connected: socket.socket, max_bytes: int) -> None:
        self.idle_since = 0.0
        self._socket = connected
        self._poll = select.poll()
        self._poll.register(connected, select.POLLIN)
        self._receive = partial(connected.recv, _RECEIVE_BYTES)
        self._reader = AnswerReader(max_bytes)
        self._served = False

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

    async def exchange(self, request: bytes, post: Post) -> Answer:
        """Write a request and read the whole answer to it.

        Raises:
            Unanswered, httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError: There is no answer, and the
                connection is of no further use.
        """
        await checkpoint_if_cancelled()
        post.begun = True
        unsent = await self._send(request)
        reader = self._reader
        while not reader.complete:
            try:
                await wait_readable(self._socket)
                data = await _when_ready(self._socket, self._receive, wait_readable)
            except OSError as error:
                raise self._lost(unsent) from error
            if not data and not reader.begun:
                raise self._lost(unsent)
            reader.feed(data)
        self._served = True
        return reader.take()

    async def _send(self, request: bytes) -> OSError | None:
        """Write the request. An error is returned: a refusal may have come before all was written."""
        rest = memoryview(request)
        try:
            while rest:
                rest = rest[await _when_ready(self._socket, partial(self._socket.send, rest), wait_writable) :]
        except OSError as error:
            return error
        return None

    def _lost(self, unsent: OSError | None) -> httpx.HTTPError:
        if self._reader.begun:
            return httpx.ReadError("the connection was lost while the answer was read")
        if self._served:
            return Unanswered("a connection in use was closed without an answer")
        if unsent:
            return httpx.WriteError("the connection was lost while the request was written")
        return httpx.ReadError("the connection was lost before an answer came")


async def connect(origin: Origin, ssl_context: ssl.SSLContext | None, max_bytes: int) -> Connection:
    """Connect, and agree on TLS where the scheme is https.

    Args:
        origin: Whom to.
        ssl_context: What the server is verified against, by default httpx's usual trust store.
        max_bytes: The most bytes of an answer.

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
            trusted = ssl_context or _usual_trust()
            connected = trusted.wrap_socket(connected, server_hostname=host, do_handshake_on_connect=False)
            await _when_ready(connected, connected.do_handshake, wait_readable)
    except (OSError, ValueError) as error:
        connected.close()
        raise httpx.ConnectError(f"no TLS with {host} port {port}: {error}") from error
    except BaseException:
        connected.close()
        raise
    return Connection(connected, max_bytes)


async def _when_ready(
    connected: socket.socket, operation: Callable[[], _Result], wait: Callable[[socket.socket], Awaitable[None]]
) -> _Result:
    """Do what would block as soon as it does not. TLS may have to write in order to read, and the other way round."""
    while True:
        try:
            return operation()
        except ssl.SSLWantReadError:
            await wait_readable(connected)
        except ssl.SSLWantWriteError:
            await wait_writable(connected)
        except BlockingIOError:
            await wait(connected)


@cache
def _usual_trust() -> ssl.SSLContext:
    # Some 20 ms to read, and not needed by those who connect through plain HTTP alone.
    return httpx.create_ssl_context()


def _why(error: Exception) -> str:
    """The reason of the first of the attempts, of which trio makes one for each address of the host."""
    group = error.__cause__
    if isinstance(group, ExceptionGroup) and isinstance(first := group.exceptions[0], OSError) and first.errno:
        return os.strerror(first.errno)
    return str(error)
