"""Answers of the model's service as its documentation has them, and the reading of them."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from trioqueue.domain.completions import Completion, Usage
from trioqueue.http.answers import Answer
from trioqueue.openrouter.protocol import read_answer

NOW = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)
KEY = "sk-or-v1-0123456789abcdef"
USAGE = {"prompt_tokens": 100, "completion_tokens": 25, "total_tokens": 125, "cost": 0.00015}
SPENT = Usage(125, Decimal("0.00015"))


def completion(content: Any = "Oi, tudo bem?", finish_reason: Any = "stop", **changes: Any) -> dict[str, Any]:
    """An answer of the service, with `changes` of its top level."""
    choice = {"index": 0, "finish_reason": finish_reason, "message": {"role": "assistant", "content": content}}
    answer = {"id": "gen-1", "object": "chat.completion", "created": 1, "model": "openai/gpt-4o-mini-2026"}
    return answer | {"choices": [choice], "usage": USAGE} | changes


def read(value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Completion:
    """Read an answer whose body is `value`, as JSON unless it is bytes."""
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    fields = {name.encode(): value.encode() for name, value in (headers or {}).items()}
    return read_answer(Answer(status, fields, body), now=NOW, asked_model="asked/model", key=KEY)


def error(status: int, error_type: str | None = None, **metadata: Any) -> dict[str, Any]:
    """An error body of the service."""
    metadata = metadata | ({"error_type": error_type} if error_type else {})
    return {"error": {"code": status, "message": "What happened", **({"metadata": metadata} if metadata else {})}}
