"""docs/screening.md says what each rule of screening does: its examples are screened here."""

import re
import tomllib
from collections.abc import Iterator
from typing import Final

import attrs
import pytest

from tests.support.reference import DOCS
from trioqueue.domain.screening import KnownLeads, ScreeningRule, screen

PAGE: Final = (DOCS / "screening.md").read_text(encoding="utf-8")
_ROW: Final = re.compile(r"^\| `([a-z-]+)` \| (.+) \| (.+) \|$", re.MULTILINE)
_BLOCK: Final = re.compile(r"by the tests too:\n\n```toml\n(.+?)```", re.DOTALL)
_EXAMPLE: Final = re.compile(r"`([^`]+)`")
_ESCAPE: Final = re.compile(r"\\u([0-9a-f]{4})|\\U([0-9a-f]{8})")


@attrs.frozen
class Example:
    """A text of the table, and whether its rule stops it."""

    rule: ScreeningRule
    text: str
    stopped: bool


def examples() -> Iterator[Example]:
    """Every text of the table."""
    for rule, stops, passes in _ROW.findall(PAGE):
        for cell, stopped in ((stops, True), (passes, False)):
            for text in _EXAMPLE.findall(cell):
                shown = _ESCAPE.sub(lambda found: chr(int(found[1] or found[2], 16)), text)
                yield Example(ScreeningRule(rule), shown, stopped)


def test_every_rule_is_documented() -> None:
    """The table has a row for each rule, with texts that it stops and texts that it lets pass."""
    rows = [ScreeningRule(rule) for rule, _, _ in _ROW.findall(PAGE)]

    assert rows == list(ScreeningRule)
    assert {(one.rule, one.stopped) for one in examples()} == {(rule, end) for rule in rows for end in (True, False)}


@pytest.mark.parametrize("example", tuple(examples()), ids=lambda example: ascii(example.text))
def test_examples_are_true(example: Example) -> None:
    """A text is stopped under the rule whose row it stands in, or passes all of them."""
    [block] = _BLOCK.findall(PAGE)
    given = tomllib.loads(block)
    others = KnownLeads()
    others.add("another", given["another"])
    finding = screen(example.text, instructions=given["instructions"], context=given["lead"], others=others)

    assert (finding and finding.rule) == (example.rule if example.stopped else None)
