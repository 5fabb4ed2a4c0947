"""Looks at the model's service and at the gateway: nothing is paid for, and nothing is sent."""

from typing import Final

from trioqueue.domain.checkup.findings import Check, Finding, failure, ok, warning
from trioqueue.domain.checkup.service import KeyAnswer, ModelsAnswer
from trioqueue.http.proxies import transport_for
from trioqueue.http.reach import reach
from trioqueue.openrouter.account import Account
from trioqueue.settings import SETTINGS, Settings

_REACH_ADVICE: Final = "check {}, DNS, firewall and certificates, and whether it is up"


async def ask_key(settings: Settings, *, timeout: float) -> KeyAnswer | None:
    """What the service tells of the key; None when there is no key."""
    if settings.openrouter_api_key is None:
        return None
    async with transport_for(settings.openrouter_url) as transport:
        account = Account(settings.openrouter_url, settings.openrouter_api_key.get_secret_value(), transport)
        return await account.ask_key(timeout=timeout)


async def ask_models(settings: Settings, *, timeout: float) -> ModelsAnswer | None:
    """Which models the service lists; None when there is no key."""
    if settings.openrouter_api_key is None:
        return None
    async with transport_for(settings.openrouter_url) as transport:
        account = Account(settings.openrouter_url, settings.openrouter_api_key.get_secret_value(), transport)
        return await account.ask_models(timeout=timeout)


async def look_at_address(settings: Settings, name: str, check: Check, *, timeout: float) -> Finding | None:
    """Whether the address of a setting can be reached, without a request; None when it is not set."""
    url = getattr(settings, name)
    if url is None:
        return None
    reached = await reach(url, timeout=timeout)
    advice = _REACH_ADVICE.format(SETTINGS[name].variable)
    if reached.fault:
        return failure(check, reached.fault, advice)
    if reached.proxied:
        found = f"the proxy {reached.whom} lets us in; what lies behind it was not tried, as that takes a request"
        return warning(check, found, "a message to a number of your own shows whether it works")
    return ok(check, f"{reached.whom} lets us in; nothing was sent")
