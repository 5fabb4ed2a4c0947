"""One request over a transport, without a client."""

from typing import Any

import httpx

from trioqueue.http.transport import REPEATABLE, HttpTransport


async def post(
    transport: HttpTransport,
    url: str,
    content: bytes = b"{}",
    *,
    repeatable: bool = False,
    timeout: dict[str, float] | None = None,
) -> httpx.Response:
    """Post without a client, and read the answer."""
    extensions: dict[str, Any] = {"timeout": timeout or {}}
    if repeatable:
        extensions[REPEATABLE] = True
    request = httpx.Request("POST", url, content=content, extensions=extensions)
    response = await transport.handle_async_request(request)
    await response.aread()
    return response
