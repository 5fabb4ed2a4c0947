"""Which request meets which fault."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioqueue.simulator import ModelFault, ModelTrouble, RequestKind, Rule, Seen, SimulatorError, SplitShape
from trioqueue.simulator.choice import Chances, Chosen, FaultChooser, Script
from trioqueue.simulator.settings import WorldSettings

GENERATE, SPLIT = RequestKind.GENERATE, RequestKind.SPLIT


def chooser(
    script: Script[ModelTrouble] = (), chances: Chances[ModelTrouble] | None = None, seed: int = 1
) -> FaultChooser[ModelTrouble]:
    """A chooser of what calls of the model meet."""
    return FaultChooser(script, chances or {}, retry_after=1.0, chance=random.Random(seed))


def seen(kind: RequestKind = GENERATE, subject: str = "Ana", conversation: str = "") -> Seen:
    """A request."""
    return Seen(kind, number=1, attempt=1, subject=subject, conversation_id=conversation)


def faults(chosen: FaultChooser[ModelTrouble], *requests: Seen) -> list[ModelTrouble | None]:
    """What requests meet, one after the other."""
    choices = [chosen.choose(request) for request in requests]
    return [choice.fault if choice else None for choice in choices]


def test_nothing():
    """Without script and chances every request is answered well."""
    assert faults(chooser(), seen(), seen(SPLIT)) == [None, None]


def test_nth_of_a_kind():
    """A rule's nth counts the requests that match the rest of it."""
    chosen = chooser([Rule(ModelFault.RATE_LIMITED, kind=GENERATE, nth=2, retry_after=70)])

    assert chosen.choose(seen()) is None
    assert chosen.choose(seen(SPLIT)) is None
    assert chosen.choose(seen()) == Chosen(ModelFault.RATE_LIMITED, 70)
    assert chosen.choose(seen()) is None


def test_range():
    """A rule can hold for a range of requests."""
    chosen = chooser([Rule(ModelFault.HANG, nth=range(2, 4))])

    assert faults(chosen, *[seen()] * 4) == [None, ModelFault.HANG, ModelFault.HANG, None]


def test_about():
    """A rule can hold for what a request is about, or for the conversation it is sent to."""
    chosen = chooser([Rule(ModelFault.RESET, about="Bia"), Rule(ModelFault.CLOSE, about="c-7")])
    requests = [seen(subject='{"client_name": "Bia"}'), seen(), seen(conversation="c-7"), seen(conversation="c-70")]

    assert faults(chosen, *requests) == [ModelFault.RESET, None, ModelFault.CLOSE, None]


def test_first_rule_decides():
    """Of several rules that hold the first decides, and the others count the request as well."""
    chosen = chooser([Rule(ModelFault.RESET, nth=1), Rule(ModelFault.CLOSE, nth=1), Rule(ModelFault.HANG, nth=2)])

    assert faults(chosen, seen(), seen(), seen()) == [ModelFault.RESET, ModelFault.HANG, None]


def test_shape_rule():
    """A rule with a shape of split answers holds for split requests without being told."""
    chosen = chooser([Rule(SplitShape.FENCED, nth=1)])

    assert faults(chosen, seen(), seen(SPLIT)) == [None, SplitShape.FENCED]


def test_callable():
    """A callable sees each request and says what it meets."""
    chosen = chooser(lambda request: ModelFault.HANG if request.subject == "Bia" else None)

    assert faults(chosen, seen(), seen(subject="Bia")) == [None, ModelFault.HANG]


def test_script_before_chance():
    """Chance is asked when the script has nothing to say."""
    chosen = chooser([Rule(ModelFault.HANG, nth=1)], {ModelFault.RESET: 1.0})

    assert faults(chosen, seen(), seen()) == [ModelFault.HANG, ModelFault.RESET]


@given(st.integers())
def test_seed(seed: int):
    """The same seed draws the same faults."""
    chances: Chances[ModelTrouble] = {ModelFault.RESET: 0.3, SplitShape.FENCED: 0.3, ModelFault.HANG: 0.2}
    requests = [seen(kind) for kind in (GENERATE, SPLIT) * 10]

    assert faults(chooser(chances=chances, seed=seed), *requests) == faults(
        chooser(chances=chances, seed=seed), *requests
    )


def test_chance():
    """Faults are about as likely as was asked for, and shapes of split answers are met by splits alone."""
    chosen = chooser(chances={SplitShape.FENCED: 0.5, ModelFault.RESET: 0.25})
    generated = faults(chosen, *[seen()] * 2000)
    split = faults(chosen, *[seen(SPLIT)] * 2000)

    assert SplitShape.FENCED not in generated
    assert 400 < generated.count(ModelFault.RESET) < 600
    assert 400 < split.count(ModelFault.RESET) < 600
    assert 900 < split.count(SplitShape.FENCED) < 1100


@pytest.mark.parametrize(
    "chances", [{ModelFault.HANG: 0.6, ModelFault.RESET: 0.6}, {ModelFault.HANG: -0.1}, {ModelFault.HANG: 1.5}]
)
def test_impossible_chances(chances: Chances[ModelTrouble]):
    """Chances below 0 or of more than 1 together are refused by name."""
    with pytest.raises(SimulatorError, match="model_chances"):
        WorldSettings(model_chances=chances)
