"""Each fault of the model does what it says."""

import time
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
import trio

from tests.simulator.clients import Client, content
from tests.simulator.worlds import client_of
from trioqueue.domain.screening import ScreeningRule, screen
from trioqueue.simulator import Fate, ModelFault, Rule
from trioqueue.simulator.model_answers import HUGE

ERRORS = {
    ModelFault.INVALID_REQUEST: (400, "invalid_request"),
    ModelFault.MODEL_NOT_FOUND: (400, "model_not_found"),
    ModelFault.CONTEXT_LENGTH_EXCEEDED: (400, "context_length_exceeded"),
    ModelFault.STRING_TOO_LONG: (400, "string_too_long"),
    ModelFault.INVALID_PROMPT: (400, "invalid_prompt"),
    ModelFault.CONTENT_POLICY_VIOLATION: (400, "content_policy_violation"),
    ModelFault.REFUSAL: (400, "refusal"),
    ModelFault.BAD_REQUEST: (400, None),
    ModelFault.UNAUTHORIZED: (401, "authentication"),
    ModelFault.OUT_OF_CREDITS: (402, "payment_required"),
    ModelFault.BUDGET_IN_FLIGHT: (402, "payment_required"),
    ModelFault.MODERATION: (403, "permission_denied"),
    ModelFault.GUARDRAIL: (403, "permission_denied"),
    ModelFault.PERMISSION_DENIED: (403, "permission_denied"),
    ModelFault.NO_ENDPOINTS: (404, "no_endpoints"),
    ModelFault.MODEL_DEPRECATED: (404, "model_deprecated"),
    ModelFault.PRIVACY_RESTRICTED: (404, "privacy_restricted"),
    ModelFault.REQUEST_TIMEOUT: (408, "timeout"),
    ModelFault.PAYLOAD_TOO_LARGE: (413, "payload_too_large"),
    ModelFault.UNPROCESSABLE: (422, "unprocessable"),
    ModelFault.RATE_LIMITED: (429, "rate_limit_exceeded"),
    ModelFault.RATE_LIMITED_FRACTION: (429, "rate_limit_exceeded"),
    ModelFault.RATE_LIMITED_DATE: (429, "rate_limit_exceeded"),
    ModelFault.RATE_LIMITED_MILLISECONDS: (429, "rate_limit_exceeded"),
    ModelFault.RATE_LIMITED_WITHOUT_WAIT: (429, "rate_limit_exceeded"),
    ModelFault.RATE_LIMITED_BY_PLATFORM: (429, "rate_limit_exceeded"),
    ModelFault.SERVER_ERROR: (500, "server"),
    ModelFault.BAD_GATEWAY: (502, "provider_unavailable"),
    ModelFault.UNAVAILABLE: (503, "provider_unavailable"),
    ModelFault.UNAVAILABLE_WITH_WAIT: (503, "provider_unavailable"),
    ModelFault.GATEWAY_TIMEOUT: (504, "timeout"),
    ModelFault.EDGE_TIMEOUT: (524, "timeout"),
    ModelFault.OVERLOADED: (529, "provider_overloaded"),
}
FINISHED_BADLY = {
    ModelFault.ERROR_IN_CHOICE: "error",
    ModelFault.FINISH_ERROR: "error",
    ModelFault.LENGTH: "length",
    ModelFault.CONTENT_FILTER: "content_filter",
}
CONTENTS = {ModelFault.EMPTY_CONTENT: "", ModelFault.NULL_CONTENT: None, ModelFault.SHORT_CONTENT: "Oi"}
UNFIT_TO_SEND = {
    ModelFault.UNFILLED_CONTENT: ScreeningRule.PLACEHOLDER,
    ModelFault.INVENTED_CONTENT: ScreeningRule.LINK,
    ModelFault.LEAKED_CONTENT: ScreeningRule.PROMPT_LEAK,
    ModelFault.HIDDEN_CONTENT: ScreeningRule.HIDDEN_CHARACTERS,
}
IN_200 = {ModelFault.ERROR_IN_200: 502, ModelFault.RATE_LIMIT_IN_200: 429}
PAGES = {ModelFault.BAD_GATEWAY_HTML: 502, ModelFault.HTML: 200}
BROKEN = {
    ModelFault.CUT_OFF: httpx.RemoteProtocolError,
    ModelFault.CLOSE: httpx.RemoteProtocolError,
    ModelFault.RESET: httpx.ReadError,
    ModelFault.OUTAGE: httpx.ReadError,
}
ENDLESS = (ModelFault.HANG, ModelFault.DRIP_FOREVER)
ONES_OF_THEIR_OWN = {
    ModelFault.NO_CHOICES,
    ModelFault.NO_USAGE,
    ModelFault.TRUNCATED_JSON,
    ModelFault.HUGE,
    ModelFault.DRIP,
    ModelFault.SLOW,
    ModelFault.HOLD,
}


async def answer(fault: ModelFault, **settings: Any) -> httpx.Response:
    """What the first call gets when it meets a fault; the second one is answered well."""
    async with client_of(model_script=[Rule(fault, nth=1)], drip_interval=0.001, **settings) as client:
        response = await client.complete()
        after = await client.complete()

    assert content(after)
    assert [call.fault for call in client.world.calls] == [fault, None]
    assert client.world.calls[0].fate is Fate.ANSWERED
    assert client.world.statistics().model.faults == {fault.value: 1}
    return response


def test_every_fault_is_tried():
    """No fault is missing here."""
    in_tables = {*ERRORS, *FINISHED_BADLY, *CONTENTS, *UNFIT_TO_SEND, *IN_200, *PAGES, *BROKEN, *ENDLESS}

    assert set(ModelFault) == in_tables | ONES_OF_THEIR_OWN


@pytest.mark.parametrize("fault", ERRORS)
async def test_errors(fault: ModelFault):
    """An HTTP error has its status, the same code in its body, and says of what type it is."""
    status, error_type = ERRORS[fault]
    response = await answer(fault)
    error = response.json()["error"]

    assert response.status_code == error["code"] == status
    assert error["message"]
    assert error.get("metadata", {}).get("error_type") == error_type


@pytest.mark.parametrize(
    ("fault", "header", "value"),
    [
        (ModelFault.RATE_LIMITED, "retry-after", "3"),
        (ModelFault.BUDGET_IN_FLIGHT, "retry-after", "3"),
        (ModelFault.UNAVAILABLE_WITH_WAIT, "retry-after", "3"),
        (ModelFault.RATE_LIMITED_FRACTION, "retry-after", "2.500"),
        (ModelFault.RATE_LIMITED_MILLISECONDS, "retry-after-ms", "2500"),
        (ModelFault.RATE_LIMITED_WITHOUT_WAIT, "retry-after", None),
        (ModelFault.RATE_LIMITED_BY_PLATFORM, "retry-after", None),
        (ModelFault.RATE_LIMITED_BY_PLATFORM, "x-ratelimit-remaining", "0"),
        (ModelFault.OUT_OF_CREDITS, "retry-after", None),
        (ModelFault.UNAVAILABLE, "retry-after", None),
    ],
)
async def test_waits(fault: ModelFault, header: str, value: str | None):
    """What says how long to wait says it in its own way; whole seconds are rounded up."""
    response = await answer(fault, retry_after=2.5)

    assert response.headers.get(header) == value


async def test_waits_until():
    """A Retry-After date and a platform's reset name the moment until which to wait."""
    began = time.time()
    date = await answer(ModelFault.RATE_LIMITED_DATE, retry_after=1000)
    platform = await answer(ModelFault.RATE_LIMITED_BY_PLATFORM, retry_after=1000)
    ended = time.time()

    assert began <= parsedate_to_datetime(date.headers["retry-after"]).timestamp() - 1000 <= ended + 1
    assert began <= int(platform.headers["x-ratelimit-reset"]) / 1000 - 1000 <= ended + 1


async def test_forbidden():
    """Moderation names reasons, a guardrail patterns, a lack of permission neither."""
    moderation = (await answer(ModelFault.MODERATION)).json()["error"]["metadata"]
    guardrail = (await answer(ModelFault.GUARDRAIL)).json()["error"]["metadata"]
    permission = (await answer(ModelFault.PERMISSION_DENIED)).json()["error"]["metadata"]

    assert moderation["reasons"]
    assert guardrail["patterns"]
    assert not {"reasons", "patterns"} & set(permission)


@pytest.mark.parametrize("fault", IN_200)
async def test_error_in_200(fault: ModelFault):
    """An error can hide in a 200 and have no choices."""
    response = await answer(fault)

    assert response.status_code == 200
    assert set(response.json()) == {"error"}
    assert response.json()["error"]["code"] == IN_200[fault]


@pytest.mark.parametrize("fault", FINISHED_BADLY)
async def test_finish_reasons(fault: ModelFault):
    """An answer that did not end well has some text and says why it ended."""
    choice = (await answer(fault)).json()["choices"][0]

    assert choice["finish_reason"] == FINISHED_BADLY[fault]
    assert choice["message"]["content"]
    assert ("error" in choice) == (fault is ModelFault.ERROR_IN_CHOICE)


@pytest.mark.parametrize("fault", CONTENTS)
async def test_contents(fault: ModelFault):
    """A text can be missing or useless while there is reasoning beside it."""
    message = (await answer(fault)).json()["choices"][0]["message"]

    assert message["content"] == CONTENTS[fault]
    assert message["reasoning"]


@pytest.mark.parametrize("fault", UNFIT_TO_SEND)
async def test_contents_that_must_not_leave(fault: ModelFault):
    """A text that is one, whole and long enough, can have what a rule of screening finds."""
    choice = (await answer(fault)).json()["choices"][0]
    finding = screen(choice["message"]["content"], instructions="", context={})

    assert choice["finish_reason"] == "stop"
    assert finding is not None
    assert finding.rule is UNFIT_TO_SEND[fault]


async def test_missing_members():
    """Choices can be none, and the usage null."""
    assert (await answer(ModelFault.NO_CHOICES)).json()["choices"] == []
    assert (await answer(ModelFault.NO_USAGE)).json()["usage"] is None


@pytest.mark.parametrize("fault", PAGES)
async def test_pages(fault: ModelFault):
    """A page of HTML can come instead, with any status."""
    response = await answer(fault)

    assert response.status_code == PAGES[fault]
    assert response.headers["content-type"].startswith("text/html")
    assert "<html>" in response.text


async def test_truncated_json():
    """JSON can stop in the middle of an answer that is whole by its length."""
    response = await answer(ModelFault.TRUNCATED_JSON)

    assert response.status_code == 200
    with pytest.raises(ValueError, match="char"):
        response.json()


async def test_huge():
    """An answer can be larger than anybody should read."""
    response = await answer(ModelFault.HUGE)

    assert len(response.content) > HUGE
    assert content(response)


async def test_drip():
    """White space can come before an answer that is good."""
    response = await answer(ModelFault.DRIP)

    assert response.text.startswith("   ")
    assert content(response)


@pytest.mark.parametrize("fault", BROKEN)
async def test_broken(fault: ModelFault):
    """A connection can break before the answer or in the middle of it, and others serve afterwards."""
    async with client_of(model_script=[Rule(fault, nth=1)], outage=0.0) as client:
        with pytest.raises(BROKEN[fault]):
            await client.complete()
        await client.world.wait_until(lambda world: world.calls[0].fate is Fate.BROKEN)
        after = await client.complete()

    assert content(after)


@pytest.mark.parametrize("fault", ENDLESS)
async def test_endless(fault: ModelFault):
    """An answer can never come, not even to those who read on; the call is abandoned when the client leaves."""
    async with client_of(model_script=[Rule(fault, nth=1)], drip_interval=0.001) as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.complete)
            await client.world.wait_until(lambda world: len(world.calls) == 1)
            nursery.cancel_scope.cancel()
        await client.world.wait_until(lambda world: world.calls[0].fate is Fate.ABANDONED)
        after = await client.complete()

    assert content(after)
    assert client.world.statistics().model.in_flight == 0


async def test_slow():
    """A slow answer takes longer by so much and is good."""
    began = trio.current_time()
    response = await answer(ModelFault.SLOW, slow=0.05)

    assert trio.current_time() - began >= 0.05
    assert content(response)


async def test_hold():
    """Answers that are held wait for their release."""
    async with client_of(model_script=[Rule(ModelFault.HOLD, nth=range(1, 3))]) as client:
        responses: list[httpx.Response] = []
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(keep, responses, client)
            await client.world.wait_until(lambda world: world.statistics().model.in_flight == 2)
            held = list(responses)
            client.world.release_held()

    assert held == []
    assert [response.status_code for response in responses] == [200, 200]


async def keep(responses: list[httpx.Response], client: Client) -> None:
    """Call the model and keep its answer."""
    responses.append(await client.complete())
