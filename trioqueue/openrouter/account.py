"""What a service of OpenRouter's shape tells of a key and of its models, without a call that costs anything.

`GET /key` and `GET /models` are OpenRouter's own and free; other servers of its shape have the second at the most.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import attrs

from trioqueue.domain.checkup.service import (
    KeyAnswer,
    KeyFacts,
    ModelList,
    ModelsAnswer,
    Refused,
    Unreachable,
    Untold,
)
from trioqueue.http.answers import Answer, Fault, excerpt, mapping, read_json
from trioqueue.http.exchange import get
from trioqueue.http.posts import Transport


@attrs.frozen
class Account:
    """A key at a service.

    Attributes:
        url: The base of the API.
        key: The API key; sent as a bearer token and shown nowhere.
        transport: Who carries the requests. It stays the caller's, who closes it.
    """

    url: str
    key: str = attrs.field(repr=False)
    transport: Transport

    async def ask_key(self, *, timeout: float) -> KeyAnswer:
        """Ask whether the key is valid, and what it may spend; `timeout` in seconds."""
        exchanged = await self._get("key", timeout)
        return exchanged if isinstance(exchanged, Unreachable) else read_key(exchanged, self.key)

    async def ask_models(self, *, timeout: float) -> ModelsAnswer:
        """Ask which models there are; `timeout` in seconds."""
        exchanged = await self._get("models", timeout)
        return exchanged if isinstance(exchanged, Unreachable) else read_models(exchanged, self.key)

    async def _get(self, path: str, timeout: float) -> Answer | Unreachable:
        headers = {"Authorization": f"Bearer {self.key}"}
        exchanged = await get(f"{self.url.rstrip('/')}/{path}", headers, self.transport, timeout=timeout)
        return Unreachable(excerpt(exchanged.reason, self.key)) if isinstance(exchanged, Fault) else exchanged


def read_key(answer: Answer, key: str) -> KeyFacts | Refused | Untold:
    """What an answer tells of the key, for any bytes whatsoever; never raises. `key` is left out of reasons."""
    body = mapping(read_json(answer.body))
    return _refusal(answer, body, key) or _key_facts(body.get("data")) or Untold("GET /key is answered otherwise")


def read_models(answer: Answer, key: str) -> ModelList | Refused | Untold:
    """What an answer tells of the models, for any bytes whatsoever; never raises. `key` is left out of reasons."""
    body = mapping(read_json(answer.body))
    return _refusal(answer, body, key) or _model_list(body.get("data")) or Untold("GET /models is answered otherwise")


def _refusal(answer: Answer, body: Mapping[str, Any], key: str) -> Refused | Untold | None:
    if answer.status in (401, 403):
        return Refused(excerpt(f"{answer.status}: {_words(body)}", key))
    return None if answer.status == 200 else Untold(f"the service answers {answer.status}")


def _words(body: Mapping[str, Any]) -> str:
    error = body.get("error")
    said = mapping(error).get("message") or error
    return said if isinstance(said, str) else "no message"


def _key_facts(data: Any) -> KeyFacts | None:
    if not isinstance(data, dict) or not data.keys() & {"limit", "limit_remaining", "usage"}:
        return None
    return KeyFacts(
        limit=_amount(data.get("limit")),
        remaining=_amount(data.get("limit_remaining")),
        used_today=_amount(data.get("usage_daily")),
        free_tier=data.get("is_free_tier") is True,
    )


def _amount(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    amount = Decimal(str(value))
    return amount if amount.is_finite() else None


def _model_list(data: Any) -> ModelList | None:
    if not isinstance(data, list):
        return None
    items = [mapping(item) for item in data]
    told = [item.get(field) for item in items for field in ("id", "canonical_slug")]
    # OpenRouter alone gives its models a canonical_slug beside the id, and refuses what it does not list.
    complete = any("canonical_slug" in item for item in items)
    return ModelList(frozenset(name for name in told if isinstance(name, str)), complete)
