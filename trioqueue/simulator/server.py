"""A small HTTP/1.1 server on trio and h11 that can also break its connections on purpose.

It shares the machine with what is tried or measured against it, so a request costs it little, and it listens on the
loopback address only. Whatever a client does, vanish, stall or send garbage, ends that client's connection and
nothing else. An error of the endpoint itself, on the other hand, is a defect and ends the server.
"""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import trio

from trioqueue.simulator.connection import IDLE, Connection, Request, Respond, reset
from trioqueue.simulator.errors import SimulatorError

LOOPBACK: Final = "127.0.0.1"

BACKLOG: Final = 1024
"""Connections that wait to be accepted, so that a thousand may come at once."""

_OVERLOADED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS})
"""What accept(2) says when the process or the system has no more sockets to give, as trio.serve_listeners knows it."""

_ACCEPT_AGAIN: Final = 0.1
"""Seconds until a server that is out of sockets looks whether one has been freed."""


class Endpoint(Protocol):
    """Answers requests."""

    async def __call__(self, request: Request, respond: Respond) -> None:
        """Answer one request by calling `respond` once."""


class Server:
    """Listens on a port of the loopback address and hands requests to an endpoint.

    Attributes:
        port: Where it listens.
        connections: How many connections there have been.
    """

    def __init__(self, endpoint: Endpoint, port: int = 0, *, idle: float = IDLE) -> None:
        """Listen; `run` serves, and `close` must follow in any case.

        Args:
            endpoint: Answers the requests.
            port: Where to listen, 0 for any free port.
            idle: Seconds that a connection may take from one request to the end of the next.

        Raises:
            SimulatorError: The port is taken or not allowed.
        """
        self._endpoint = endpoint
        self._idle = idle
        self._socket = _bound(port)
        self._socket.listen(BACKLOG)
        self.port: int = self._socket.getsockname()[1]
        self.connections = 0
        self._streams: set[trio.SocketStream] = set()
        self._outages = 0
        self._up = trio.Event()
        self._up.set()

    @property
    def open_connections(self) -> int:
        """How many connections are open now."""
        return len(self._streams)

    async def run(self) -> None:
        """Serve until cancelled; what is under way then is cut."""
        async with trio.open_nursery() as conversations:
            while True:
                await self._up.wait()
                try:
                    await self._accept(trio.SocketListener(self._socket), conversations)
                except trio.ClosedResourceError:
                    continue

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()

    @contextmanager
    def outage(self) -> Iterator[None]:
        """Be away while this is entered: connections are reset and new ones refused, but the port stays ours.

        A socket that is bound and does not listen refuses connections, and its port is given to nobody else.
        """
        self._outages += 1
        if self._outages == 1:
            self._up = trio.Event()
            self._socket.close()
            self._socket = _bound(self.port)
            for stream in tuple(self._streams):
                reset(stream)
        try:
            yield
        finally:
            self._outages -= 1
            if self._outages == 0:
                self._socket.listen(BACKLOG)
                self._up.set()

    async def _accept(self, listener: trio.SocketListener, conversations: trio.Nursery) -> None:
        while True:
            try:
                stream = await listener.accept()
            except OSError as error:
                if error.errno not in _OVERLOADED:
                    raise
                await trio.sleep(_ACCEPT_AGAIN)
            else:
                self.connections += 1
                self._streams.add(stream)
                conversations.start_soon(self._converse, stream)

    async def _converse(self, stream: trio.SocketStream) -> None:
        connection = Connection(stream, idle=self._idle, outage=self.outage)
        try:
            while (request := await connection.next_request()) is not None:
                await self._endpoint(request, connection.respond)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self._streams.discard(stream)
            await trio.aclose_forcefully(stream)


def _bound(port: int) -> trio.socket.SocketType:
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((LOOPBACK, port))
    except (OSError, OverflowError) as error:
        listening.close()
        msg = f"cannot listen on {LOOPBACK}:{port} ({error}); choose another port, or 0 for any free one"
        raise SimulatorError(msg) from error
    return trio.socket.from_stdlib_socket(listening)
