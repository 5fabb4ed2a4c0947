"""A TCP proxy between one worker and PostgreSQL, which can hold back what passes, or cut it.

What is held back is not lost: it arrives when the network is whole again, as TCP sends again what was not
acknowledged. So a statement may be executed long after the worker has given it up, also one of a worker that is dead.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Self

import trio

CHUNK_BYTES = 65_536


class Way:
    """One direction of the network, which may be blocked."""

    def __init__(self) -> None:
        self._blocks = 0
        self._open = trio.Event()

    @contextmanager
    def blocked(self) -> Iterator[None]:
        """Hold back what passes while this is entered."""
        self._blocks += 1
        try:
            yield
        finally:
            self._blocks -= 1
            if self._blocks == 0:
                self._open.set()
                self._open = trio.Event()

    async def wait_open(self) -> None:
        """Wait until nothing is held back."""
        while self._blocks:
            await self._open.wait()


class Proxy:
    """Passes bytes between clients on a port of the loopback address and a server's Unix socket.

    Args:
        listener: Where clients connect.
        find_server: The path of the server's socket now; it may change when the server is restarted.

    Attributes:
        port: Where clients connect.
        to_server: What clients send.
        to_client: What the server answers.
    """

    def __init__(self, listener: trio.SocketListener, find_server: Callable[[], str]) -> None:
        self._listener = listener
        self._find_server = find_server
        self._scopes: set[trio.CancelScope] = set()
        self.port: int = listener.socket.getsockname()[1]
        self.to_server = Way()
        self.to_client = Way()

    @classmethod
    async def open(cls, find_server: Callable[[], str]) -> Self:
        """Listen on any free port."""
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        return cls(listener, find_server)

    async def run(self) -> None:
        """Serve until cancelled."""
        await trio.serve_listeners(self._serve, [self._listener])

    def cut(self) -> None:
        """Close all connections, on both sides."""
        for scope in self._scopes:
            scope.cancel()

    async def _serve(self, client: trio.SocketStream) -> None:
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                await self._pass_both_ways(client)
            finally:
                self._scopes.discard(scope)
                await trio.aclose_forcefully(client)

    async def _pass_both_ways(self, client: trio.SocketStream) -> None:
        await self.to_server.wait_open()
        try:
            server = await trio.open_unix_socket(self._find_server())
        except OSError:
            return
        try:
            async with trio.open_nursery() as nursery:
                end = nursery.cancel_scope.cancel
                nursery.start_soon(partial(_pass_on, client, server, self.to_server, end))
                nursery.start_soon(partial(_pass_on, server, client, self.to_client, end))
        finally:
            await trio.aclose_forcefully(server)


async def _pass_on(source: trio.SocketStream, sink: trio.SocketStream, way: Way, end: Callable[[], None]) -> None:
    try:
        while data := await source.receive_some(CHUNK_BYTES):
            await way.wait_open()
            await sink.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    # Also the end of a connection does not pass while the way is blocked.
    await way.wait_open()
    end()
