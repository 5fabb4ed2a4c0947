"""A model and a gateway that do next to nothing, in a process of their own, for benchmarks.

Every request is answered a given time after it came, with one of three bodies that are made once. It counts what it
answered and measures how long it really took, so that its own lateness is not taken for the worker's. The simulator is
the one that behaves; this one is only fast. On asyncio, whose protocols are the cheapest server that Python has.
"""

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import attrs
import httpx
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


@attrs.define
class _Figures:
    answered: int = 0
    seconds: float = 0.0


class _Server(asyncio.Protocol):
    def __init__(self, latency: float, spread: float, figures: _Figures) -> None:
        self._latency = latency
        self._spread = spread
        self._chance = random.Random(1)
        self._figures = figures
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
            self._write(_response(json.dumps(attrs.asdict(self._figures)).encode()))
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
        self._figures.answered += 1
        self._figures.seconds += asyncio.get_running_loop().time() - began

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

    async def figures(self) -> tuple[int, float]:
        """How many calls it has answered so far, and the seconds that it took for them together; at once."""
        async with httpx.AsyncClient() as client:
            told = (await client.get(self.url)).json()
        return told["answered"], told["seconds"]


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
    figures = _Figures()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Server(latency, spread, figures), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.buffer.read)


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1]), float(sys.argv[2])))
