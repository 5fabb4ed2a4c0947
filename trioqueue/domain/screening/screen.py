"""Whether a generated text may leave: all rules, each on the form of the text that it needs."""

from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from typing import Any, Final

import attrs

from trioqueue.domain.screening.characters import hidden_characters
from trioqueue.domain.screening.findings import Finding, ScreeningRule, excerpt
from trioqueue.domain.screening.known import Known, known_of_context, known_of_instructions
from trioqueue.domain.screening.leaks import prompt_leak
from trioqueue.domain.screening.links import emails_in, links_in, normal_link, undisguised, without_addresses
from trioqueue.domain.screening.numbers import phones_in, pix_codes_in, pix_keys_in, pix_windows
from trioqueue.domain.screening.others import Addresses, KnownLeads
from trioqueue.domain.screening.placeholders import placeholder
from trioqueue.domain.screening.plain import plain
from trioqueue.domain.screening.prices import amounts_in


def screen(
    text: str,
    *,
    instructions: str,
    context: Mapping[str, Any],
    others: KnownLeads | None = None,
    off: Collection[ScreeningRule] = frozenset(),
) -> Finding | None:
    """The first reason why a text may not leave, or None.

    Args:
        text: What the model wrote.
        instructions: The operator's instructions: what stands in them may be said.
        context: The lead's context: what stands in it may be said to this lead.
        others: The leads of the messages in flight; this lead may be among them.
        off: The rules that are not applied.
    """
    asked = _Asked(text, instructions, context, others)
    findings = (find(asked) for rule, find in _RULES.items() if rule not in off)
    return next((finding for finding in findings if finding is not None), None)


@attrs.frozen(eq=False, slots=False)
class _Asked:
    """A text and what it is compared with, in the forms that rules need; each form is made once, when it is needed."""

    text: str
    instructions: str
    context: Mapping[str, Any]
    others: KnownLeads | None

    @cached_property
    def plain(self) -> str:
        return plain(self.text)

    @cached_property
    def undisguised(self) -> str:
        return undisguised(self.plain)

    @cached_property
    def addresses(self) -> Addresses:
        text = self.undisguised
        return Addresses(emails_in(text), links_in(text), tuple(phones_in(without_addresses(text))))

    @cached_property
    def known(self) -> tuple[Known, ...]:
        return known_of_instructions(self.instructions), known_of_context(self.context)


def _hidden_characters(asked: _Asked) -> Finding | None:
    return hidden_characters(asked.text)


def _placeholders(asked: _Asked) -> Finding | None:
    return placeholder(asked.plain)


def _prompt_leaks(asked: _Asked) -> Finding | None:
    return prompt_leak(asked.plain, asked.instructions, asked.context)


def _other_leads(asked: _Asked) -> Finding | None:
    return asked.others.find(asked.plain, asked.addresses, lambda: asked.known) if asked.others else None


def _pix_keys(asked: _Asked) -> Finding | None:
    for code in pix_codes_in(asked.plain):
        if not any(known.has_key(code) for known in asked.known):
            return _unknown(ScreeningRule.PIX_KEY, "the Pix code", code)
    for window in pix_windows(asked.undisguised):
        for email in emails_in(window):
            if not any(known.has_email(email) for known in asked.known):
                return _unknown(ScreeningRule.PIX_KEY, "the Pix key", email)
        for key in pix_keys_in(window):
            if not any(known.has_key(key) or known.has_phone(key) for known in asked.known):
                return _unknown(ScreeningRule.PIX_KEY, "the Pix key", key)
        for phone in phones_in(without_addresses(window)):
            if not any(known.has_phone(phone) for known in asked.known):
                return _unknown(ScreeningRule.PIX_KEY, "the Pix key", phone)
    return None


def _emails(asked: _Asked) -> Finding | None:
    for email in asked.addresses.emails:
        if not any(known.has_email(email) for known in asked.known):
            return _unknown(ScreeningRule.EMAIL, "the e-mail address", email)
    return None


def _links(asked: _Asked) -> Finding | None:
    for link in asked.addresses.links:
        normal = normal_link(link)
        if not any(known.has_link(normal) for known in asked.known):
            return _unknown(ScreeningRule.LINK, "the link", link)
    return None


def _phones(asked: _Asked) -> Finding | None:
    for phone in asked.addresses.phones:
        if not any(known.has_phone(phone) for known in asked.known):
            return _unknown(ScreeningRule.PHONE, "the telephone number", phone)
    return None


def _prices(asked: _Asked) -> Finding | None:
    for amount, value in amounts_in(asked.plain):
        if not any(value in known.amounts for known in asked.known):
            return _unknown(ScreeningRule.PRICE, "the price", amount)
    return None


def _unknown(rule: ScreeningRule, what: str, found: str) -> Finding:
    return Finding(rule, f"{what} {excerpt(found)} stands neither in the instructions nor in the lead's data")


_RULES: Final[Mapping[ScreeningRule, Callable[[_Asked], Finding | None]]] = {
    ScreeningRule.HIDDEN_CHARACTERS: _hidden_characters,
    ScreeningRule.PLACEHOLDER: _placeholders,
    ScreeningRule.PROMPT_LEAK: _prompt_leaks,
    ScreeningRule.OTHER_LEAD: _other_leads,
    ScreeningRule.PIX_KEY: _pix_keys,
    ScreeningRule.EMAIL: _emails,
    ScreeningRule.LINK: _links,
    ScreeningRule.PHONE: _phones,
    ScreeningRule.PRICE: _prices,
}
"""In this order: of two rules that see the same, the more telling one comes first."""
