"""A TCP server on loopback that does to its clients what a script says: raw bytes in, raw bytes out.

For the tests of everything that speaks HTTP: what it answers need not be HTTP at all.
"""

import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from functools import partial
from typing import TypeAlias

import trio


class ClientGone(Exception):
    """The client has closed the connection; ends the script of that connection."""


class Peer:
    """The server's end of one connection; `number` counts them from 1."""

    def __init__(self, stream: trio.abc.Stream, tcp: trio.SocketStream, number: int, requests: list[bytes]) -> None:
        self.number = number
        self._stream = stream
        self._tcp = tcp
        self._requests = requests
        self._unread = b""

    async def request(self) -> bytes:
        """The next request, head and body as they came, which is also added to the server's list."""
        head = await self._until(lambda: self._unread.find(b"\r\n\r\n") + 4 if b"\r\n\r\n" in self._unread else None)
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        body = await self._until(lambda: length if len(self._unread) >= length else None)
        self._requests.append(head + body)
        return head + body

    async def send(self, data: bytes) -> None:
        await self._stream.send_all(data)

    async def close(self) -> None:
        """Close in good order (FIN) as far as all that came has been read."""
        await self._stream.aclose()

    async def reset(self) -> None:
        """Close with an RST."""
        self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await self._tcp.aclose()

    async def gone(self) -> None:
        """Wait until the client has closed the connection."""
        try:
            while await self._stream.receive_some():
                pass
        except trio.BrokenResourceError:
            pass

    async def _until(self, end: Callable[[], int | None]) -> bytes:
        while (index := end()) is None:
            data = await self._stream.receive_some()
            if not data:
                raise ClientGone
            self._unread += data
        taken, self._unread = self._unread[:index], self._unread[index:]
        return taken


Script: TypeAlias = Callable[[Peer], Awaitable[None]]
"""What the server does with one connection; the connection is closed when it returns."""


class ScriptedServer:
    """A running server: its address and what it has seen. Get one from `scripted_server`."""

    def __init__(self, script: Script, ssl_context: ssl.SSLContext | None) -> None:
        self.port = 0
        self.connections = 0
        self.requests: list[bytes] = []
        self._script = script
        self._ssl_context = ssl_context

    @property
    def url(self) -> str:
        return f"{'https' if self._ssl_context else 'http'}://127.0.0.1:{self.port}"

    async def serve(self, tcp: trio.SocketStream) -> None:
        self.connections += 1
        number = self.connections
        stream: trio.abc.Stream = tcp
        if self._ssl_context:
            stream = trio.SSLStream(tcp, self._ssl_context, server_side=True, https_compatible=True)
        try:
            await self._script(Peer(stream, tcp, number, self.requests))
        except (ClientGone, trio.BrokenResourceError):
            pass
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 1):
                await trio.aclose_forcefully(stream)


@asynccontextmanager
async def scripted_server(script: Script, ssl_context: ssl.SSLContext | None = None) -> AsyncIterator[ScriptedServer]:
    """A server that runs `script` for every connection, until the end of the block."""
    server = ScriptedServer(script, ssl_context)
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(trio.serve_tcp, server.serve, 0, host="127.0.0.1"))
        server.port = listeners[0].socket.getsockname()[1]
        yield server
        nursery.cancel_scope.cancel()


@contextmanager
def refusing_port() -> Iterator[int]:
    """A port of 127.0.0.1 where connections are refused: bound, so that nobody else gets it, and not listening."""
    with closing(socket.socket()) as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what happens within this process, and fail where it does not."""
    with trio.fail_after(10):
        while not condition():
            await trio.lowlevel.checkpoint()


def http_answer(body: bytes = b"", status: int = 200, *headers: str) -> bytes:
    """The bytes of a whole answer with a Content-Length."""
    lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1") + body


def answering(*answers: bytes) -> Script:
    """A script that gives these bytes to the requests of a connection in turn, and the last of them ever after."""

    async def script(peer: Peer) -> None:
        for answer in answers:
            await peer.request()
            await peer.send(answer)
        while True:
            await peer.request()
            await peer.send(answers[-1])

    return script


async def echo(peer: Peer) -> None:
    """Answer every request with its own body."""
    while True:
        request = await peer.request()
        await peer.send(http_answer(request.partition(b"\r\n\r\n")[2]))


async def read_and_hang(peer: Peer) -> None:
    """Take the request and never answer."""
    await peer.request()
    await peer.gone()


async def read_and_close(peer: Peer) -> None:
    """Take the request and close without an answer."""
    await peer.request()


async def drip(peer: Peer) -> None:
    """Promise an answer, and send white space for ever, as fast as it is taken."""
    await peer.request()
    await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        await peer.send(b"1\r\n \r\n")
        await trio.lowlevel.checkpoint()
