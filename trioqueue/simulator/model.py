"""The simulated model: OpenRouter's chat completions."""

import time
from typing import Any, Final

from trioqueue.simulator.choice import Chosen
from trioqueue.simulator.connection import Request, Respond
from trioqueue.simulator.faults import ModelFault
from trioqueue.simulator.model_answers import completion, content, faulty
from trioqueue.simulator.model_errors import refusal
from trioqueue.simulator.pace import Pace
from trioqueue.simulator.reading import BadRequest, ModelCall, read_model_call
from trioqueue.simulator.record import Call, Calls
from trioqueue.simulator.replies import Answer, Reply, json_answer
from trioqueue.simulator.settings import ModelTrouble, WorldSettings
from trioqueue.simulator.split_shapes import SplitShape

BASE: Final = "/api/v1"
"""Where OpenRouter's endpoints begin."""

_COMPLETIONS: Final = f"{BASE}/chat/completions".encode()
_KEY: Final = f"{BASE}/key".encode()
_MODELS: Final = f"{BASE}/models".encode()
_KEY_FACTS: Final = {
    "label": "simulated",
    "limit": None,
    "limit_remaining": None,
    "usage": 0,
    "usage_daily": 0,
    "usage_weekly": 0,
    "usage_monthly": 0,
    "is_free_tier": False,
}
"""A key without a limit."""


class ModelEndpoint:
    """Answers calls of the model."""

    def __init__(self, settings: WorldSettings, calls: Calls[ModelTrouble], pace: Pace) -> None:
        """Answer as `settings` say, recorded in `calls`."""
        self._settings = settings
        self._authorization = f"Bearer {settings.model_key}".encode()
        self._calls = calls
        self._pace = pace
        self._answers = 0

    async def __call__(self, request: Request, respond: Respond) -> None:
        """Answer one request."""
        refused = self._refusal(request)
        if refused is not None:
            await self._calls.refuse(refused, respond)
        elif request.target == _KEY:
            await respond(json_answer(200, {"data": _KEY_FACTS}))
        elif request.target == _MODELS:
            await respond(json_answer(200, {"data": [_listed(name) for name in self._settings.models]}))
        else:
            await self._complete(request, respond)

    def _refusal(self, request: Request) -> Answer | None:
        method = {_COMPLETIONS: b"POST", _KEY: b"GET", _MODELS: b"GET"}.get(request.target)
        if method is None:
            return refusal(404, "Not Found", "not_found")
        if request.method != method:
            return refusal(405, "Method Not Allowed", "invalid_request")
        if request.headers.get(b"authorization") != self._authorization:
            return refusal(401, "No auth credentials found", "authentication")
        return None

    async def _complete(self, request: Request, respond: Respond) -> None:
        try:
            asked = read_model_call(request.body)
        except BadRequest as error:
            await self._calls.refuse(refusal(400, str(error), "invalid_request"), respond)
            return
        call, chosen = self._calls.begin(asked.kind, asked.subject, model=asked.model)
        delay = self._pace.delay(slow=call.fault is ModelFault.SLOW, held=call.fault is ModelFault.HOLD)
        reply = self._reply(asked, call, chosen)
        await delay.wait()
        await self._calls.answer(call, reply, respond)

    def _reply(self, asked: ModelCall, call: Call[ModelTrouble], chosen: Chosen[ModelTrouble] | None) -> Reply:
        now = time.time()
        shape = call.fault if isinstance(call.fault, SplitShape) else SplitShape.PLAIN
        self._answers += 1
        good = completion(asked, content(asked, shape), number=self._answers, now=now)
        if chosen is None or isinstance(chosen.fault, SplitShape):
            self._calls.count_tokens(call, good["usage"]["total_tokens"])
            return json_answer(200, good)
        return faulty(chosen.fault, good, self._settings, retry_after=chosen.retry_after, now=now)


def _listed(name: str) -> dict[str, Any]:
    """A model as OpenRouter lists it, as far as anybody looks."""
    return {
        "id": name,
        "canonical_slug": name,
        "name": name,
        "context_length": 128_000,
        "pricing": {"prompt": "0.00000015", "completion": "0.0000006"},
    }
