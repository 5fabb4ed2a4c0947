"""Asks an HTTP endpoint beside the gateway what became of a part; docs/how-to/unconfirmed-messages.md has its contract.

Anything but one of the three answers of that contract tells nothing.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson

from trioqueue.domain.lookups import CannotTell, Delivered, LookedUp, NotDelivered
from trioqueue.domain.sends import OutgoingPart
from trioqueue.http.answers import Answer, Fault, excerpt, mapping, read_json
from trioqueue.http.exchange import Endpoint
from trioqueue.http.posts import Transport


class HttpLookup:
    """A `trioqueue.ports.Lookup`.

    Args:
        url: The whole address of the endpoint.
        key: The service role key. It is sent as a header and shown nowhere.
        transport: Who carries the requests. It stays the caller's, who closes it.

    Raises:
        trioqueue.http.exchange.UnusableEndpoint: The address or the key cannot be used.
    """

    def __init__(self, url: str, key: str, transport: Transport) -> None:
        self._endpoint = Endpoint(url, {"X-Service-Role-Key": key}, transport)
        self._key = key

    async def look_up(self, part: OutgoingPart, intended_at: datetime, *, timeout: float) -> LookedUp:
        """Ask once; see `trioqueue.ports.Lookup`."""
        asked = {
            "idempotencyKey": part.idempotency_key,
            "conversationId": part.conversation_id,
            "text": part.text,
            "intendedAt": intended_at,
        }
        exchanged = await self._endpoint.post(orjson.dumps(asked), timeout=timeout, repeatable=True)
        if isinstance(exchanged, Fault):
            return CannotTell(exchanged.reason)
        return read_looked_up(exchanged, key=self._key)


def read_looked_up(answer: Answer, *, key: str = "") -> LookedUp:
    """What an answer tells of the part, for any bytes whatsoever; never raises.

    Args:
        answer: The answer.
        key: The key of the request; it is left out of reasons.
    """
    told = mapping(read_json(answer.body))
    if not 200 <= answer.status < 300:
        return CannotTell(excerpt(f"{answer.status}: {_words(told, 'error')}", key))
    match told.get("outcome"):
        case "delivered":
            return Delivered(excerpt(_words(told, "providerMessageId"), key) or None)
        case "not_delivered":
            return NotDelivered()
        case "unknown":
            return CannotTell(excerpt(_words(told, "reason"), key) or "it does not know")
        case other:
            return CannotTell(excerpt(f"its answer has no outcome that is known: {other!r}", key))


def _words(told: Mapping[str, Any], name: str) -> str:
    value = told.get(name)
    return value if isinstance(value, str) else ""
