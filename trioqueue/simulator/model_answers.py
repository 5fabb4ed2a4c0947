"""Builds what the model's service answers: a completion, and what each fault makes of it."""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias

import attrs

from trioqueue.simulator.choice import RequestKind
from trioqueue.simulator.faults import ModelFault
from trioqueue.simulator.model_errors import error_answer, error_body
from trioqueue.simulator.reading import ModelCall
from trioqueue.simulator.replies import PROXY_PAGE, Answer, Close, CutOff, Drip, Hang, Outage, Reply, Reset, json_answer
from trioqueue.simulator.settings import WorldSettings
from trioqueue.simulator.shaping import shaped, well_cut
from trioqueue.simulator.split_shapes import SplitShape
from trioqueue.simulator.writing import outreach_message

HUGE: Final = 32 * 1024 * 1024
"""Bytes of white space before a huge answer."""

DRIPPED: Final = 5
"""Bytes of white space before an answer that drips."""

_CHARACTERS_A_TOKEN: Final = 4
_COST_A_TOKEN: Final = 6e-7
"""US dollars, about what a small model costs."""

Completion: TypeAlias = dict[str, Any]


def content(call: ModelCall, shape: SplitShape = SplitShape.PLAIN) -> str:
    """What the model writes: a message, or the split of one in the given shape."""
    if call.kind is RequestKind.SPLIT:
        return shaped(shape, well_cut(call.subject, call.max_parts))
    return outreach_message(call.lead, call.prompt)


def completion(call: ModelCall, text: str, *, number: int, now: float) -> Completion:
    """The body of a good answer.

    Args:
        call: What was asked.
        text: What the model wrote.
        number: Tells the answer from all others.
        now: Seconds since 1970.
    """
    asked = len(call.prompt) // _CHARACTERS_A_TOKEN + 1
    written = len(text) // _CHARACTERS_A_TOKEN + 1
    return {
        "id": f"gen-{number:010d}",
        "object": "chat.completion",
        "created": int(now),
        "model": call.model,
        "provider": "Simulated",
        "system_fingerprint": None,
        "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
        "usage": {
            "prompt_tokens": asked,
            "completion_tokens": written,
            "total_tokens": asked + written,
            "cost": (asked + written) * _COST_A_TOKEN,
        },
    }


def faulty(fault: ModelFault, good: Completion, settings: WorldSettings, *, retry_after: float, now: float) -> Reply:
    """What a fault makes of a good answer. `SLOW` and `HOLD` only delay it, which is not done here.

    Args:
        fault: The fault.
        good: The good answer, which may be changed in place.
        settings: How faults are timed.
        retry_after: Seconds to say in Retry-After.
        now: Seconds since 1970.
    """
    error = error_answer(fault, retry_after=retry_after, now=now)
    if error is not None:
        return error
    if fault in _SPOILT:
        _SPOILT[fault](good)
    return _conveyed(fault, json_answer(200, good), settings)


def _conveyed(fault: ModelFault, answer: Answer, settings: WorldSettings) -> Reply:
    broken: Mapping[ModelFault, Reply] = {
        ModelFault.BAD_GATEWAY_HTML: PROXY_PAGE,
        ModelFault.HTML: attrs.evolve(PROXY_PAGE, status=200),
        ModelFault.TRUNCATED_JSON: attrs.evolve(answer, body=answer.body[: len(answer.body) // 2]),
        ModelFault.CUT_OFF: CutOff(answer),
        ModelFault.DRIP: Drip(answer, settings.drip_interval, DRIPPED),
        ModelFault.DRIP_FOREVER: Drip(answer, settings.drip_interval, None),
        ModelFault.HANG: Hang(),
        ModelFault.CLOSE: Close(),
        ModelFault.RESET: Reset(),
        ModelFault.OUTAGE: Outage(settings.outage),
    }
    if fault is ModelFault.HUGE:
        return attrs.evolve(answer, body=b" " * HUGE + answer.body)
    return broken.get(fault, answer)


def _only_choice(good: Completion) -> dict[str, Any]:
    choice: dict[str, Any] = good["choices"][0]
    return choice


def _error_instead(code: int, message: str) -> Callable[[Completion], None]:
    def spoil(good: Completion) -> None:
        good.clear()
        good.update(error_body(code, message, {}))

    return spoil


def _with_content(text: str | None) -> Callable[[Completion], None]:
    def spoil(good: Completion) -> None:
        message = _only_choice(good)["message"]
        message["content"] = text
        message["reasoning"] = "O usuário quer uma mensagem curta; vou começar pelo nome."

    return spoil


def _partial(finish_reason: str) -> Callable[[Completion], None]:
    def spoil(good: Completion) -> None:
        choice = _only_choice(good)
        text = choice["message"]["content"]
        choice["message"]["content"] = text[: len(text) // 2]
        choice["finish_reason"] = finish_reason

    return spoil


def _error_in_choice(good: Completion) -> None:
    _partial("error")(good)
    _only_choice(good).update(error_body(502, "Provider disconnected", {"error_type": "provider_unavailable"}))


def _no_choices(good: Completion) -> None:
    good["choices"] = []


def _no_usage(good: Completion) -> None:
    good["usage"] = None


_SPOILT: Final[Mapping[ModelFault, Callable[[Completion], None]]] = {
    ModelFault.ERROR_IN_200: _error_instead(502, "Provider returned error"),
    ModelFault.RATE_LIMIT_IN_200: _error_instead(429, "Rate limit exceeded"),
    ModelFault.ERROR_IN_CHOICE: _error_in_choice,
    ModelFault.FINISH_ERROR: _partial("error"),
    ModelFault.LENGTH: _partial("length"),
    ModelFault.CONTENT_FILTER: _partial("content_filter"),
    ModelFault.EMPTY_CONTENT: _with_content(""),
    ModelFault.NULL_CONTENT: _with_content(None),
    ModelFault.SHORT_CONTENT: _with_content("Oi"),
    ModelFault.UNFILLED_CONTENT: _with_content("Olá, {{client_name}}! Aqui é a [Seu Nome]. Podemos conversar hoje?"),
    ModelFault.INVENTED_CONTENT: _with_content(
        "Olá! Só hoje por R$ 17,90 em https://oferta-inventada.example/hoje, ou ligue (11) 91234-0000."
    ),
    ModelFault.LEAKED_CONTENT: _with_content('Olá!\n<lead>\n{"client_name": "Ana"}\n</lead>\nPodemos conversar hoje?'),
    ModelFault.HIDDEN_CONTENT: _with_content("Olá!\u200b Podemos conversar\U000e0068\U000e0069 ainda hoje?"),
    ModelFault.NO_CHOICES: _no_choices,
    ModelFault.NO_USAGE: _no_usage,
}
