"""The existing internal-send-ai-message endpoint.

Its contract: a 2xx is an accepted part; a 4xx is a refusal before sending; after anything else, once the request
has begun, the part may have left.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from trioqueue.domain.retry_after import parse_retry_after
from trioqueue.domain.sends import NotSent, OutgoingPart, Rejected, SenderAtFault, SendOutcome, Sent, Unknown
from trioqueue.http.answers import Answer, Fault, excerpt, mapping, read_json
from trioqueue.http.exchange import Endpoint
from trioqueue.http.posts import Transport

RATE_LIMIT_WAIT: Final = 30.0
"""Seconds to leave a gateway alone that says "too many" but not until when. A wait, so that it counts as no attempt."""


class InternalGateway:
    """A `trioqueue.ports.Gateway`.

    Args:
        url: The whole address of the endpoint.
        key: The service role key. It is sent as a header and shown nowhere.
        transport: Who carries the requests. It stays the caller's, who closes it.
        idempotent: Whether the endpoint delivers once however often it gets the same Idempotency-Key.

    Raises:
        trioqueue.http.posts.UnusableEndpoint: The address or the key cannot be used.
    """

    def __init__(self, url: str, key: str, transport: Transport, *, idempotent: bool = False) -> None:
        self._endpoint = Endpoint(url, {"X-Service-Role-Key": key}, transport)
        self._key = key
        self._idempotent = idempotent

    @property
    def idempotent(self) -> bool:
        """See `trioqueue.ports.Gateway`."""
        return self._idempotent

    async def send(self, part: OutgoingPart, *, timeout: float) -> SendOutcome:
        """Send one part, once; see `trioqueue.ports.Gateway`."""
        try:
            body = orjson.dumps({"conversationId": part.conversation_id, "text": part.text})
        except orjson.JSONEncodeError:
            return Rejected("the text holds half a character (a lone surrogate), which no gateway takes")
        headers = {"Idempotency-Key": part.idempotency_key}
        exchanged = await self._endpoint.post(body, timeout=timeout, headers=headers)
        if isinstance(exchanged, Fault):
            return Unknown(exchanged.reason) if exchanged.begun else NotSent(exchanged.reason)
        return read_outcome(exchanged, now=datetime.now(UTC), key=self._key)


def read_outcome(answer: Answer, *, now: datetime, key: str = "") -> SendOutcome:
    """What an answer means for the part, for any bytes whatsoever; never raises.

    Two statuses of the 400s are read otherwise than the contract says, because a proxy in between may give them: a
    408 may end a request that the endpoint is still working on; a 425 asks for the same request once more.

    Args:
        answer: The answer.
        now: The time with its zone, for a Retry-After that is a date.
        key: The key of the request; it is left out of reasons.
    """
    told = mapping(read_json(answer.body))
    if 200 <= answer.status < 300:
        return Sent(_provider_message_id(told))
    reason = excerpt(f"{answer.status}: {_message(told)}", key)
    match answer.status:
        case 401 | 403:
            return SenderAtFault(reason)
        case 425:
            return NotSent(reason, parse_retry_after(answer.headers, now))
        case 429:
            retry_after = parse_retry_after(answer.headers, now)
            return NotSent(reason, RATE_LIMIT_WAIT if retry_after is None else retry_after)
        case 408:
            return Unknown(reason)
        case status if 400 <= status < 500:
            return Rejected(reason)
        case _:
            return Unknown(reason)


def _provider_message_id(told: Mapping[str, Any]) -> str | None:
    found = mapping(mapping(told.get("provider_response")).get("key")).get("id")
    return (excerpt(found, "") if isinstance(found, str) else "") or None


def _message(told: Mapping[str, Any]) -> str:
    """The endpoint's own words for an error, in the places where such endpoints put them."""
    nested = mapping(told.get("error")).get("message")
    words = (nested, told.get("error"), told.get("message"))
    return next((word for word in words if isinstance(word, str) and word), "no message")
