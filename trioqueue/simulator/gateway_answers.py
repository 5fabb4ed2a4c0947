"""Builds what the sending gateway answers, and what each `GatewayFault` makes of it."""

import math
from collections.abc import Mapping
from typing import Final

import attrs

from trioqueue.simulator.faults import GatewayFault
from trioqueue.simulator.replies import PROXY_PAGE, Answer, Close, CutOff, Drip, Hang, Outage, Reply, Reset, json_answer
from trioqueue.simulator.settings import WorldSettings

_REFUSALS: Final[Mapping[GatewayFault, tuple[int, str]]] = {
    GatewayFault.BAD_REQUEST: (400, "invalid request"),
    GatewayFault.UNAUTHORIZED: (401, "invalid service role key"),
    GatewayFault.FORBIDDEN: (403, "this key may not send"),
    GatewayFault.NOT_FOUND: (404, "conversation not found"),
    GatewayFault.CONFLICT: (409, "the conversation is closed"),
    GatewayFault.UNPROCESSABLE: (422, "the text cannot be sent"),
    GatewayFault.RATE_LIMITED: (429, "too many messages"),
    GatewayFault.RATE_LIMITED_WITHOUT_WAIT: (429, "too many messages"),
    GatewayFault.SERVER_ERROR: (500, "internal error"),
    GatewayFault.UNAVAILABLE: (503, "temporarily unavailable"),
    GatewayFault.GATEWAY_TIMEOUT: (504, "timeout"),
}

_NOT_DELIVERED: Final = frozenset(_REFUSALS) | {
    GatewayFault.BAD_GATEWAY_HTML,
    GatewayFault.HANG,
    GatewayFault.RESET,
    GatewayFault.OUTAGE,
}


def is_delivered(fault: GatewayFault) -> bool:
    """Whether a part that meets this fault is delivered all the same."""
    return fault not in _NOT_DELIVERED


def accepted(provider_id: str) -> Answer:
    """The answer to a part that was taken over, as the existing endpoint gives it."""
    key = {"id": provider_id, "fromMe": True}
    return json_answer(200, {"success": True, "provider_response": {"key": key, "status": "PENDING"}})


def refused(status: int, reason: str) -> Answer:
    """The answer to a part that was not taken over."""
    return json_answer(status, {"success": False, "error": reason})


def undelivered(fault: GatewayFault, settings: WorldSettings, *, retry_after: float) -> Reply:
    """What comes of a part that is not delivered.

    Raises:
        KeyError: The fault delivers its part.
    """
    match fault:
        case GatewayFault.BAD_GATEWAY_HTML:
            return PROXY_PAGE
        case GatewayFault.HANG:
            return Hang()
        case GatewayFault.RESET:
            return Reset()
        case GatewayFault.OUTAGE:
            return Outage(settings.outage)
        case _:
            answer = refused(*_REFUSALS[fault])
    if fault is GatewayFault.RATE_LIMITED:
        return attrs.evolve(answer, headers=((b"retry-after", b"%d" % math.ceil(retry_after)),))
    return answer


def delivered(fault: GatewayFault | None, provider_id: str, settings: WorldSettings) -> Reply:
    """What comes of a part that is delivered, with a fault or with none.

    `SLOW` and `ACCEPT_THEN_HOLD` only delay it, which is not done here.
    """
    good = accepted(provider_id)
    if fault is None:
        return good
    broken: Mapping[GatewayFault, Reply] = {
        GatewayFault.ACCEPT_THEN_SERVER_ERROR: refused(500, "internal error"),
        GatewayFault.ACCEPT_THEN_GATEWAY_TIMEOUT: refused(504, "timeout"),
        GatewayFault.ACCEPT_THEN_HANG: Hang(),
        GatewayFault.ACCEPT_THEN_CLOSE: Close(),
        GatewayFault.ACCEPT_THEN_RESET: Reset(),
        GatewayFault.ACCEPT_THEN_CUT_OFF: CutOff(good),
        GatewayFault.ACCEPT_THEN_DRIP_FOREVER: Drip(good, settings.drip_interval, None),
        GatewayFault.WITHOUT_ID: json_answer(200, {"success": True}),
        GatewayFault.STRANGE_ID: json_answer(200, {"success": True, "provider_response": {"key": {"id": 42}}}),
        GatewayFault.EMPTY_BODY: Answer(200, b""),
        GatewayFault.STRANGE_BODY: Answer(200, b"OK", b"text/plain"),
        GatewayFault.STRANGE_JSON: json_answer(200, ["ok"]),
    }
    return broken.get(fault, good)
