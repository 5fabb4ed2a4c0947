"""What is concluded of a model's service."""

from decimal import Decimal

import pytest

from trioqueue.domain.checkup.findings import Verdict
from trioqueue.domain.checkup.service import (
    KeyAnswer,
    KeyFacts,
    ModelList,
    ModelsAnswer,
    Refused,
    Unreachable,
    Untold,
    is_listed,
    judge_key,
    judge_models,
)


@pytest.mark.parametrize(
    ("answer", "verdict", "said"),
    [
        (KeyFacts(), Verdict.OK, "no limit of its own"),
        (KeyFacts(Decimal(10), Decimal("2.5"), Decimal("0.4"), free_tier=True), Verdict.OK, "limit $10.00, $2.50 left"),
        (KeyFacts(Decimal(10), Decimal(0)), Verdict.FAILURE, "used up"),
        (KeyFacts(Decimal(10), Decimal("-0.1")), Verdict.FAILURE, "used up"),
        (Refused("401: no"), Verdict.FAILURE, "refuses the key: 401: no"),
        (Unreachable("no route"), Verdict.FAILURE, "no route"),
        (Untold("GET /key is answered with 404"), Verdict.WARNING, "could not be checked"),
    ],
)
def test_a_key(answer: KeyAnswer, verdict: Verdict, said: str) -> None:
    """A key that is refused or used up fails; a service that does not tell is a warning."""
    finding = judge_key(answer)

    assert finding.verdict is verdict
    assert said in finding.found


LISTED = frozenset({"a/one", "a/two:free", "b/three"})


@pytest.mark.parametrize(
    ("answer", "named", "verdicts"),
    [
        (ModelList(LISTED, complete=True), [], [Verdict.OK]),
        (ModelList(LISTED, complete=True), ["a/one", "a/one:nitro", "a/two:free"], [Verdict.OK]),
        (ModelList(LISTED, complete=True), ["a/one", "c/x", "a/one:free"], [Verdict.FAILURE, Verdict.FAILURE]),
        (ModelList(LISTED, complete=True), ["@preset/ours"], [Verdict.WARNING]),
        (ModelList(LISTED, complete=False), ["c/x"], [Verdict.WARNING]),
        (Refused("401"), ["a/one"], [Verdict.FAILURE]),
        (Unreachable("gone"), ["a/one"], [Verdict.FAILURE]),
        (Untold("404"), ["a/one"], [Verdict.WARNING]),
    ],
)
def test_models(answer: ModelsAnswer, named: list[str], verdicts: list[Verdict]) -> None:
    """A model that is not in a complete list fails; in any other it is a warning."""
    assert [finding.verdict for finding in judge_models(answer, named)] == verdicts


def test_suffixes() -> None:
    """What OpenRouter takes after any name is no part of the name; a variant that is listed for itself is."""
    assert is_listed("b/three:online", LISTED)
    assert not is_listed("b/three:free", LISTED)
    assert not is_listed(":nitro", LISTED)
