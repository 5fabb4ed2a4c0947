"""Screening against the instructions, the lead and the other leads of the examples."""

from collections.abc import Collection, Mapping
from typing import Any, Final

from tests.domain.screening.examples import BAD, CONTEXT, INSTRUCTIONS, OTHERS
from trioqueue.domain.screening import Finding, KnownLeads, ScreeningRule, screen

ALL: Final = frozenset(ScreeningRule)
BAD_TEXTS: Final = [(rule, text) for rule, texts in BAD.items() for text in texts]


def other_leads(*contexts: Mapping[str, Any]) -> KnownLeads:
    """Leads in flight."""
    leads = KnownLeads()
    for key, context in enumerate(contexts):
        leads.add(key, context)
    return leads


def found(text: str, *, off: Collection[ScreeningRule] = ()) -> Finding | None:
    """What is found in a text."""
    return screen(text, instructions=INSTRUCTIONS, context=CONTEXT, others=other_leads(*OTHERS), off=off)


def rules(text: str) -> set[ScreeningRule]:
    """Every rule that finds something in a text."""
    return {rule for rule in ScreeningRule if found(text, off=ALL - {rule})}
