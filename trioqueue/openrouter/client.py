"""OpenRouter over HTTP, and any server of the same shape at another address."""

from datetime import UTC, datetime
from hashlib import sha256
from typing import Final

import httpx

from trioqueue.domain.completions import Completion, CompletionRequest, Transient
from trioqueue.http.answers import Fault
from trioqueue.http.exchange import Endpoint
from trioqueue.http.posts import Transport
from trioqueue.openrouter.protocol import read_answer, request_body

ACCOUNT_DIGITS: Final = 16
"""Of the digest that stands for an account: enough to tell accounts apart, and nothing to guess a key from."""


class OpenRouter:
    """A `trioqueue.ports.Model`.

    Args:
        url: The base of the API; `/chat/completions` is added to its path.
        key: The API key. It is sent as a bearer token and shown nowhere.
        transport: Who carries the requests. It stays the caller's, who closes it.

    Attributes:
        account: A digest of the address and the key.

    Raises:
        trioqueue.http.posts.UnusableEndpoint: The address or the key cannot be used.
    """

    def __init__(self, url: str, key: str, transport: Transport) -> None:
        headers = {"Authorization": f"Bearer {key}"}
        self._endpoint = Endpoint(f"{url.rstrip('/')}/chat/completions", headers, transport)
        self._key = key
        self.account = sha256(f"{url.rstrip('/')} {key}".encode()).hexdigest()[:ACCOUNT_DIGITS]
        host = httpx.URL(url).host
        self._routed = host == "openrouter.ai" or host.endswith(".openrouter.ai")

    async def complete(self, request: CompletionRequest, *, timeout: float) -> Completion:
        """Make one call; see `trioqueue.ports.Model`.

        Completions have no idempotency: a call whose answer was lost may have been paid for, and so may one that is
        made a second time after a kept connection was closed without an answer, though that one hardly ever.
        """
        body = request_body(request, routed=self._routed)
        exchanged = await self._endpoint.post(body, timeout=timeout, repeatable=True)
        if isinstance(exchanged, Fault):
            return Transient(exchanged.reason, timed_out=exchanged.timed_out, perhaps_paid=exchanged.begun)
        return read_answer(exchanged, now=datetime.now(UTC), asked_model=request.model, key=self._key)
