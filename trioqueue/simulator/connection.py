"""One client's HTTP/1.1 connection: reads its requests, and carries out replies, broken ones among them."""

import socket
import struct
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, Protocol, assert_never

import attrs
import h11
import trio

from trioqueue.simulator.replies import Answer, Close, CutOff, Drip, Hang, Outage, Reply, Reset, json_answer

LARGEST_BODY: Final = 1024 * 1024
"""Bytes of a request's body; prompts are a few kilobytes, and what is larger is answered with 413."""

LARGEST_HEAD: Final = 32 * 1024
"""Bytes of a request's line and headers."""

IDLE: Final = 60.0
"""Seconds that a connection may take from one request to the end of the next, as servers close after 5 to 75 s."""

LINGER: Final = 2.0
"""Seconds to read on after an early answer: closing with unread bytes resets the connection, and the answer is lost."""

_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


@attrs.frozen
class Request:
    """One request, wholly read. Names of headers are in lower case."""

    method: bytes
    target: bytes
    headers: dict[bytes, bytes]
    body: bytes


class Respond(Protocol):
    """Carries a reply out."""

    async def __call__(self, reply: Reply) -> bool:
        """Whether the client was still there when the last byte meant for it was written."""


class Connection:
    """A conversation with one client.

    h11 reads, with a new state machine for each request; answers are written without it, because half of them are
    meant to be wrong, and because that saves a sixth of a request's cost.
    """

    def __init__(
        self, stream: trio.SocketStream, *, idle: float, outage: Callable[[], AbstractContextManager[None]]
    ) -> None:
        """Speak HTTP over `stream`.

        Args:
            stream: The client's connection.
            idle: Seconds that it may take from one request to the end of the next.
            outage: Takes the whole server away while it is entered.
        """
        self._stream = stream
        self._idle = idle
        self._outage = outage
        self._reader = _reader()
        self._unread = b""
        self._last = False

    async def next_request(self) -> Request | None:
        """The next request, or None when there will be none on this connection.

        Raises:
            trio.BrokenResourceError: The client has reset the connection.
            trio.ClosedResourceError: An outage has closed it.
        """
        if self._last:
            return None
        with trio.move_on_after(self._idle):
            try:
                return await self._read_request()
            except h11.RemoteProtocolError as error:
                await self._refuse(error.error_status_hint, str(error))
        return None

    async def respond(self, reply: Reply) -> bool:
        """Carry a reply out; false when the connection was gone before the end of it."""
        try:
            return await self._carry_out(reply)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            self._last = True
            return False

    async def _read_request(self) -> Request | None:
        self._reader = _reader()
        self._reader.receive_data(self._unread or await self._stream.receive_some())
        head: h11.Request | None = None
        body = b""
        while True:
            match self._reader.next_event():
                case h11.Request() as head:
                    pass
                case h11.Data(data=data):
                    body += data
                    if len(body) > LARGEST_BODY:
                        await self._refuse(413, f"a request has at most {LARGEST_BODY} bytes")
                        return None
                case h11.EndOfMessage() if head is not None:
                    return self._whole(head, body)
                case h11.NEED_DATA:
                    await self._receive()
                case _:
                    return None

    def _whole(self, head: h11.Request, body: bytes) -> Request:
        # An answer to HEAD has no body; it gets one all the same, and nothing may follow it.
        self._last = self._reader.their_state is not h11.DONE or head.method == b"HEAD"
        self._unread = self._reader.trailing_data[0]
        return Request(head.method, head.target, dict(head.headers), body)

    async def _receive(self) -> None:
        if self._reader.they_are_waiting_for_100_continue:
            await self._stream.send_all(_CONTINUE)
        self._reader.receive_data(await self._stream.receive_some())

    async def _refuse(self, status: int, reason: str) -> None:
        self._last = True
        await self._answer(json_answer(status, {"error": {"code": status, "message": reason}}))
        await self._stream.send_eof()
        with trio.move_on_after(LINGER):
            await self._read_to_the_end()

    async def _carry_out(self, reply: Reply) -> bool:
        match reply:
            case Answer():
                await self._answer(reply)
                return True
            case Drip():
                await self._drip(reply)
                return True
            case CutOff(answer=answer):
                await self._stream.send_all(self._head(answer) + answer.body[: len(answer.body) // 2])
            case Hang():
                await self._read_to_the_end()
            case Close():
                pass
            case Reset():
                reset(self._stream)
            case Outage(seconds=seconds):
                with self._outage():
                    await trio.sleep(seconds)
            case _:
                assert_never(reply)
        self._last = True
        await self._stream.aclose()
        return not isinstance(reply, Hang)

    async def _answer(self, answer: Answer) -> None:
        await self._stream.send_all(self._head(answer) + answer.body)

    async def _drip(self, drip: Drip) -> None:
        await self._stream.send_all(self._head(drip.answer, b"transfer-encoding: chunked"))
        dripped = 0
        while drip.count is None or dripped < drip.count:
            await self._stream.send_all(_chunk(b" "))
            await trio.sleep(drip.interval)
            dripped += 1
        await self._stream.send_all(_chunk(drip.answer.body) + _chunk(b""))

    def _head(self, answer: Answer, framing: bytes | None = None) -> bytes:
        lines = [
            b"HTTP/1.1 %d " % answer.status,
            b"content-type: " + answer.content_type,
            framing or b"content-length: %d" % len(answer.body),
            *[b"%b: %b" % header for header in answer.headers],
        ]
        if self._last:
            lines.append(b"connection: close")
        return b"\r\n".join(lines) + b"\r\n\r\n"

    async def _read_to_the_end(self) -> None:
        while await self._stream.receive_some():
            pass


def reset(stream: trio.SocketStream) -> None:
    """Close at once, so that the other side sees a reset (RST) and not an orderly end."""
    if stream.socket.fileno() >= 0:
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.socket.close()


def _reader() -> h11.Connection:
    return h11.Connection(h11.SERVER, max_incomplete_event_size=LARGEST_HEAD)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)
