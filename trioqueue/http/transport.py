"""An httpx transport of trio streams and h11, for many small requests to few origins.

The pool of httpx is scanned on every request: measured at 200 requests in flight, it took 6 ms of CPU for each, and
this transport 0.2. Here idle connections of an origin are a stack: the newest is taken, and only if it is young and
its socket has nothing to read, because a connection that the server has closed shows so. The answer is read whole,
within a bound, before it is handed out; then the connection goes back to the stack or is closed, and nothing else
has to see to it.

Faults before the first byte of the request are `httpx.ConnectError` and `httpx.ConnectTimeout`; all others came after.
"""

import os
import ssl
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeAlias

import h11
import httpx
import trio

IDLE_SECONDS: Final = 4.0
"""How long an idle connection is kept. Servers close theirs after 5 s (Node, uvicorn) to 75 s (nginx); a request that
crosses the close is lost with an unknown outcome, so ours go first."""

MAX_ANSWER_BYTES: Final = 4 * 1024 * 1024
"""Bytes of an answer's body. A completion of 1,000 tokens has some 10 kB."""

REPEATABLE: Final = "trioqueue.repeatable"
"""The request extension that allows a second attempt after `Unanswered`."""

REQUEST_BEGINS: Final = "http11.send_request_headers.started"
"""The event told to the request extension `trace` before the first byte of a request goes out; httpcore's name."""

_RECEIVE_BYTES: Final = 65_536

_Origin: TypeAlias = tuple[bytes, bytes, int | None]


class Unanswered(httpx.RemoteProtocolError):
    """A connection that had served before was closed without a byte of an answer.

    Most likely the server closed it while the request was on its way and never read it, which is no proof.
    """


class HttpTransport(httpx.AsyncBaseTransport):
    """HTTP/1.1 over trio. Uses no proxy; `trioqueue.http.proxies.transport_for` chooses.

    Connects as often as requests are in flight: who calls it bounds them. Idle connections that are too old are closed
    when others come back or are asked for, without a timer; while nobody asks, they wait.

    Args:
        ssl_context: What servers are verified against, by default httpx's usual trust store.
        idle_seconds: How long an idle connection is kept.
        max_answer_bytes: The most bytes of an answer's body.
    """

    def __init__(
        self,
        ssl_context: ssl.SSLContext | None = None,
        *,
        idle_seconds: float = IDLE_SECONDS,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        self._ssl_context = ssl_context or httpx.create_ssl_context()
        self._idle_seconds = idle_seconds
        self._max_answer_bytes = max_answer_bytes
        self._idle: dict[_Origin, deque[_Connection]] = {}
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Exchange a request for a whole answer.

        Raises:
            httpx.ConnectError: There is no connection, or no TLS. Nothing of the request went out.
            httpx.ConnectTimeout: The same, for lack of time.
            httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError: The connection failed after that.
            httpx.WriteTimeout, httpx.ReadTimeout: The same, for lack of time.
            httpx.LocalProtocolError: The request cannot be put into HTTP; nothing of it went out.
        """
        await request.aread()
        origin = (request.url.raw_scheme, request.url.raw_host, request.url.port)
        connection = self._take(origin)
        if connection is not None:
            try:
                return await self._exchange(origin, connection, request)
            except Unanswered:
                if REPEATABLE not in request.extensions:
                    raise
        return await self._exchange(origin, await _connect(request, self._ssl_context), request)

    async def aclose(self) -> None:
        """Close the idle connections; those in use are closed when their exchange ends."""
        self._closed = True
        while self._idle:
            for connection in self._idle.popitem()[1]:
                connection.close()
        await trio.lowlevel.checkpoint()

    def _take(self, origin: _Origin) -> "_Connection | None":
        stack = self._idle.get(origin, ())
        oldest = trio.current_time() - self._idle_seconds
        while stack:
            connection = stack.pop()
            if connection.idle_since > oldest and not connection.socket.is_readable():
                return connection
            connection.close()
        return None

    async def _exchange(self, origin: _Origin, connection: "_Connection", request: httpx.Request) -> httpx.Response:
        clean = False
        try:
            response = await connection.exchange(request, self._max_answer_bytes)
            clean = connection.start_next_cycle()
        finally:
            if clean and not self._closed:
                self._keep(origin, connection)
            else:
                connection.close()
        return response

    def _keep(self, origin: _Origin, connection: "_Connection") -> None:
        stack = self._idle.setdefault(origin, deque())
        connection.idle_since = trio.current_time()
        stack.append(connection)
        while stack[0].idle_since < connection.idle_since - self._idle_seconds:
            stack.popleft().close()


class _Connection:
    """One connection: idle, or in the middle of one exchange."""

    def __init__(self, stream: trio.abc.Stream, socket: trio.socket.SocketType) -> None:
        self.socket = socket
        self.idle_since = 0.0
        self._stream = stream
        self._http = h11.Connection(h11.CLIENT)
        self._served = False
        self._answered = False

    def close(self) -> None:
        """Close at once, from any state; there is nothing to gain from waiting for TLS to say goodbye."""
        self.socket.close()

    def start_next_cycle(self) -> bool:
        """Whether the connection may serve again: both sides are done, and no byte came beyond the answer."""
        http = self._http
        if http.our_state is not h11.DONE or http.their_state is not h11.DONE or http.trailing_data[0]:
            return False
        http.start_next_cycle()
        self._served, self._answered = True, False
        return True

    async def exchange(self, request: httpx.Request, max_answer_bytes: int) -> httpx.Response:
        timeouts = request.extensions.get("timeout", {})
        unsent = await self._send(request, timeouts.get("write"))
        try:
            return await self._receive(timeouts.get("read"), max_answer_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            if self._served and not self._answered:
                raise Unanswered("a connection in use was closed without an answer") from error
            if unsent and not self._answered:
                raise httpx.WriteError("the connection was lost while the request was written") from unsent
            raise httpx.ReadError("the connection was lost while the answer was read") from error

    async def _send(self, request: httpx.Request, timeout: float | None) -> Exception | None:
        """Write the request. An error of the stream is returned: a refusal may have come before all was written."""
        data = self._serialise(request)
        await trio.lowlevel.checkpoint_if_cancelled()
        if trace := request.extensions.get("trace"):
            await trace(REQUEST_BEGINS, {"request": request})
        try:
            with _within(timeout, httpx.WriteTimeout):
                await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            return error
        return None

    def _serialise(self, request: httpx.Request) -> bytes:
        try:
            head = h11.Request(method=request.method, target=request.url.raw_path, headers=request.headers.raw)
            events: tuple[h11.Event, ...] = (head, h11.Data(request.content), h11.EndOfMessage())
            return b"".join(self._http.send(event) or b"" for event in events)
        except h11.LocalProtocolError:
            # h11's words repeat the header, which may hold a key.
            raise httpx.LocalProtocolError("a header or the target of the request is not allowed in HTTP") from None

    async def _receive(self, timeout: float | None, max_answer_bytes: int) -> httpx.Response:
        while not isinstance(head := await self._next_event(timeout), h11.Response):
            pass  # 1xx
        body = bytearray()
        while isinstance(event := await self._next_event(timeout), h11.Data):
            body += event.data
            if len(body) > max_answer_bytes:
                raise httpx.RemoteProtocolError(f"the answer is larger than {max_answer_bytes} bytes")
        return httpx.Response(head.status_code, headers=head.headers.raw_items(), stream=httpx.ByteStream(bytes(body)))

    async def _next_event(self, timeout: float | None) -> h11.Event | type[h11.NEED_DATA] | type[h11.PAUSED]:
        try:
            while (event := self._http.next_event()) is h11.NEED_DATA:
                with _within(timeout, httpx.ReadTimeout):
                    data = await self._stream.receive_some(_RECEIVE_BYTES)
                if not data and not self._answered:
                    raise trio.BrokenResourceError("closed without an answer")
                self._answered = True
                self._http.receive_data(bytes(data))
        except h11.RemoteProtocolError as error:
            raise httpx.RemoteProtocolError(f"the answer is broken: {error}") from error
        return event


async def _connect(request: httpx.Request, ssl_context: ssl.SSLContext) -> _Connection:
    url = request.url
    if url.scheme not in ("http", "https"):
        raise httpx.UnsupportedProtocol(f"the scheme {url.scheme!r} is neither http nor https")
    host, port = url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80)
    with _within(request.extensions.get("timeout", {}).get("connect"), httpx.ConnectTimeout):
        try:
            tcp = await trio.open_tcp_stream(host, port)
        except (OSError, ValueError) as error:  # ValueError: a name that cannot be a host's
            raise httpx.ConnectError(f"no connection to {host} port {port}: {_why(error)}") from error
        if url.scheme == "http":
            return _Connection(tcp, tcp.socket)
        try:
            tls = trio.SSLStream(tcp, ssl_context, server_hostname=host, https_compatible=True)
            await tls.do_handshake()
        except (trio.BrokenResourceError, ValueError) as error:
            tcp.socket.close()
            raise httpx.ConnectError(f"no TLS with {host} port {port}: {error.__cause__ or error}") from error
        except BaseException:
            tcp.socket.close()
            raise
        return _Connection(tls, tcp.socket)


def _why(error: Exception) -> str:
    """The reason of the first of the attempts, of which trio makes one for each address of the host."""
    group = error.__cause__
    if isinstance(group, ExceptionGroup) and isinstance(first := group.exceptions[0], OSError) and first.errno:
        return os.strerror(first.errno)
    return str(error)


@contextmanager
def _within(seconds: float | None, timeout: type[httpx.TimeoutException]) -> Iterator[None]:
    if seconds is None:
        yield
        return
    with trio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise timeout(f"nothing happened for {seconds} s")
