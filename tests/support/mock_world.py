"""A model and a gateway that do next to nothing, in a process of their own, for benchmarks.

Every request is answered a given time after it came, with one of three bodies that are made once. It counts what it
answered and measures how long it really took, so that its own lateness is not taken for the worker's, and tells the
CPU that it used itself. The simulator is the one that behaves; this one is only fast. On asyncio, whose protocols are
the cheapest server that Python has.

A GET is answered with the figures, `GET /N` as soon as N calls have been answered: who measures needs not poll.
"""

import asyncio
import json
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit

import attrs
import trio

PARTS: Final = (
    "Olá, tudo bem? Vi que a sua empresa cresceu bastante neste ano e queria contar como ajudamos equipes parecidas.",
    "Se fizer sentido, posso explicar em dez minutos nesta semana. Qual dia fica melhor para uma conversa rápida?",
)
"""What every message says: long enough to be split, and split at its paragraph."""


def _completion(content: str) -> bytes:
    answer = {
        "id": "gen-1",
        "model": "mock/model",
        "choices": [{"finish_reason": "stop", "message": {"role": "assistant", "content": content}}],
        "usage": {"prompt_tokens": 300, "completion_tokens": 100, "total_tokens": 400, "cost": 0.0001},
    }
    return _response(json.dumps(answer).encode())


def _response(body: bytes) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


_TEXT = _completion("\n\n".join(PARTS))
_SPLIT = _completion(json.dumps({"messages": PARTS}))
_SENT = _response(b'{"provider_response": {"key": {"id": "3EB0"}}}')


@attrs.frozen
class Figures:
    """What the world has done so far.

    Attributes:
        answered: Calls of the model and the gateway.
        seconds: What it took for them, together.
        cpu: Seconds of CPU that it used, for these requests for figures too.
        at: When this was told, by a clock that all processes of the machine share.
    """

    answered: int
    seconds: float
    cpu: float
    at: float


@attrs.define
class _Count:
    """What is counted, and who waits for how much of it."""

    answered: int = 0
    seconds: float = 0.0
    waiting: list[tuple[int, Callable[[], None]]] = attrs.field(factory=list)

    def answer(self, seconds: float) -> None:
        self.answered += 1
        self.seconds += seconds
        if self.waiting:
            self.tell()

    def tell(self) -> None:
        for entry in [entry for entry in self.waiting if entry[0] <= self.answered]:
            self.waiting.remove(entry)
            entry[1]()

    def figures(self) -> bytes:
        figures = Figures(self.answered, self.seconds, time.process_time(), time.monotonic())
        return _response(json.dumps(attrs.asdict(figures)).encode())


class _Server(asyncio.Protocol):
    def __init__(self, latency: float, spread: float, chance: random.Random, count: _Count) -> None:
        self._latency = latency
        self._spread = spread
        self._chance = chance
        self._count = count
        self._received = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        length = head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]
        if len(body) < int(length or 0):
            return
        self._received = b""
        if head.startswith(b"GET"):
            wanted = int(head.split(b" ", 2)[1].removeprefix(b"/") or 0)
            self._count.waiting.append((wanted, lambda: self._write(self._count.figures())))
            self._count.tell()
        else:
            loop = asyncio.get_running_loop()
            loop.call_later(
                self._latency + self._chance.uniform(-self._spread, self._spread),
                self._answer,
                _answer_to(head, body),
                loop.time(),
            )

    def _answer(self, answer: bytes, began: float) -> None:
        self._write(answer)
        self._count.answer(asyncio.get_running_loop().time() - began)

    def _write(self, answer: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(answer)


def _answer_to(head: bytes, body: bytes) -> bytes:
    if b"/chat/completions" not in head:
        return _SENT
    return _SPLIT if b"message_parts" in body else _TEXT


@attrs.frozen
class MockWorld:
    """Where the world listens."""

    url: str

    async def figures(self, after: int = 0) -> Figures:
        """What it has done, told as soon as it has answered `after` calls."""
        address = urlsplit(self.url)
        async with await trio.open_tcp_stream(address.hostname or "", address.port or 0) as stream:
            await stream.send_all(f"GET /{after} HTTP/1.1\r\n\r\n".encode())
            told = b""
            while not told.endswith(b"}"):
                told += await stream.receive_some()
        return Figures(**json.loads(told.partition(b"\r\n\r\n")[2]))


@asynccontextmanager
async def mock_world(latency: float, spread: float = 0.0) -> AsyncIterator[MockWorld]:
    """Run a world whose every answer takes `latency` seconds, give or take `spread`, evenly.

    It ends with the block, and with this process.
    """
    command = [sys.executable, "-m", "tests.support.mock_world", str(latency), str(spread)]
    process = await trio.lowlevel.open_process(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        if process.stdout is None:
            raise AssertionError("it was asked for")
        yield MockWorld(f"http://127.0.0.1:{int(await process.stdout.receive_some())}")
    finally:
        process.kill()
        await process.wait()


async def _serve(latency: float, spread: float) -> None:
    count = _Count()
    chance = random.Random(1)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Server(latency, spread, chance, count), "127.0.0.1", 0, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1]), float(sys.argv[2])))
