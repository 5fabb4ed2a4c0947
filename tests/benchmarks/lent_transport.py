"""The idea of `trioqueue/http` for asyncio: what a peer would gain by it.

trioqueue's own transport waits by trio and cannot run on an asyncio loop. Ported is what makes it cheap: connections of
its own, idle ones on a stack, heads of requests that are bytes from the start, answers read by httptools and taken
whole. asyncio's protocols, which call back instead of waking a task for every read, make it cheaper still. Not ported
is what costs little: bounds of the answer's size, the look whether an idle connection has been closed.
"""

import asyncio
import json
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlsplit

from httptools import HttpResponseParser

from tests.benchmarks.posting import TIMEOUT


class LentTransport:
    """Requests to one server."""

    def __init__(self, world: str) -> None:
        address = urlsplit(world)
        self._host, self._port = address.hostname or "", address.port or 0
        self._idle: list[_Connection] = []

    async def post(self, path: str, key: Mapping[str, str], body: bytes) -> Any:
        """Post a body and return the answer's JSON."""
        extra = "".join([f"{name}: {value}\r\n" for name, value in key.items()])
        head = _head(f"{self._host}:{self._port}", path)
        async with asyncio.timeout(TIMEOUT):
            connection = self._idle.pop() if self._idle else await self._connect()
            answer = await connection.exchange(
                b"%b%bContent-Length: %d\r\n\r\n%b" % (head, extra.encode(), len(body), body)
            )
        self._idle.append(connection)
        return json.loads(answer)

    async def _connect(self) -> "_Connection":
        _, connection = await asyncio.get_running_loop().create_connection(_Connection, self._host, self._port)
        return connection

    def close(self) -> None:
        """Close the idle connections."""
        for connection in self._idle:
            connection.close()


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self._answer: asyncio.Future[bytes] | None = None
        self._body: list[bytes] = []
        self.on_body = self._body.append
        self._parser = HttpResponseParser(self)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(exc or ConnectionResetError("the connection ended before the answer"))

    def on_message_complete(self) -> None:
        if self._answer is None or self._answer.done():
            return
        if self._parser.get_status_code() == 200:
            self._answer.set_result(b"".join(self._body))
        else:
            self._answer.set_exception(RuntimeError(f"status {self._parser.get_status_code()}"))
        self._body.clear()

    async def exchange(self, request: bytes) -> bytes:
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        self._transport.close()


@cache
def _head(host: str, path: str) -> bytes:
    lines = (
        f"POST {path} HTTP/1.1",
        f"Host: {host}",
        "Accept-Encoding: identity",
        "Accept: application/json",
        "Content-Type: application/json",
        "User-Agent: peer",
    )
    return ("\r\n".join(lines) + "\r\n").encode()
