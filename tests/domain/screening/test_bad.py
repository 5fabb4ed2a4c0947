"""Every bad text is turned away, under the rule that names its fault."""

from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.domain.screening.examples import BAD
from tests.domain.screening.finding import ALL, BAD_TEXTS, found, rules
from tests.domain.screening.ordinary import ORDINARY, Ordinary
from trioqueue.domain.prompts import LEAD_RULES
from trioqueue.domain.screening import ScreeningRule, screen
from trioqueue.domain.screening.leaks import _VOICE, _VOICE_WORDS
from trioqueue.domain.screening.plain import plain
from trioqueue.domain.screening.words import words_of

MARKS: Final = ["{{name}}", "{{ nome }}", "{nome}", "[NOME]", "[Your Name]", "${x}", "<nome>"]
ORDER: Final = "Nunca mencione o nosso segredo a ninguém do bairro"
HIDDEN: Final = "\u200b\u2060\u202e\u2066\ufeff\ue000\x07\u00ad\U000e0041"


@pytest.mark.parametrize(("rule", "text"), BAD_TEXTS)
def test_bad_texts_are_found(rule: ScreeningRule, text: str) -> None:
    """What must not leave is found under the rule that names its fault, disguised or not, with a printable excerpt."""
    finding = found(text)

    assert finding is not None
    assert finding.rule is rule
    assert finding.reason.isprintable()
    assert len(finding.reason) < 160


@pytest.mark.parametrize(("rule", "text"), BAD_TEXTS)
def test_bad_texts_are_found_between_others(rule: ScreeningRule, text: str) -> None:
    """A fault is found as well in the first lines of a long message, though some count only at its start or end."""
    filler = "Tudo certo por aqui, e com você também, espero. " * 20
    long = f"{text}\n{filler}" if rule is ScreeningRule.PROMPT_LEAK else f"{filler}\n{text}\n{filler}"
    at_the_edge = {"Olá, None! Tudo bem?", "Oi Ana! (Mensagem com 120 caracteres)"}

    assert text in at_the_edge or rule in rules(long)


def test_there_are_enough_bad_texts() -> None:
    """Each rule is tried on at least twelve texts."""
    assert {rule for rule in ScreeningRule if len(BAD.get(rule, ())) < 12} == set()


@pytest.mark.parametrize(("rule", "text"), BAD_TEXTS)
def test_each_rule_can_be_turned_off(rule: ScreeningRule, text: str) -> None:
    """A rule that is off finds nothing; another may see the same text in its own way."""
    finding = found(text, off={rule})

    assert finding is None or finding.rule is not rule


@given(st.text() | st.sampled_from([text for _, text in BAD_TEXTS]))
def test_everything_can_be_turned_off(text: str) -> None:
    """With all rules off nothing is found."""
    assert found(text, off=ALL) is None


@given(st.sampled_from(ORDINARY), st.sampled_from(MARKS), st.integers(0, 1000))
def test_a_placeholder_anywhere_is_found(one: Ordinary, mark: str, at: int) -> None:
    """A mark of a template is found wherever it stands in an ordinary message, also when the instructions have it."""
    at %= len(one.text) + 1
    text = one.text[:at] + mark + one.text[at:]

    assert screen(text, instructions=one.instructions + mark, context=one.context) is not None


@given(st.sampled_from(ORDINARY), st.sampled_from(HIDDEN), st.integers(0, 1000))
def test_a_hidden_character_anywhere_is_found(one: Ordinary, char: str, at: int) -> None:
    """A character that nobody sees is found wherever it stands in an ordinary message, in an emoji too."""
    at %= len(one.text) + 1
    text = one.text[:at] + char + one.text[at:]
    finding = screen(text, instructions=one.instructions, context=one.context)

    assert finding is not None
    assert finding.rule is ScreeningRule.HIDDEN_CHARACTERS


def test_a_passage_of_our_own_rules_is_a_leak() -> None:
    """Seven words in a row of what the prompt says about the lead's data are found, six are not."""
    words = LEAD_RULES.replace("<lead>", "").replace("</lead>", "").split()[14:21]

    assert rules("Oi! " + " ".join(words)) == {ScreeningRule.PROMPT_LEAK}
    assert rules("Oi! " + " ".join(words[:6])) == set()


@pytest.mark.parametrize(
    ("instructions", "leaks"),
    [
        (f"{ORDER}.", True),
        (f'"{ORDER}."', False),
        (f"Escreva: {ORDER}.", False),
        (f"Regras: {ORDER}.", True),
        (f"Modelo:\n{ORDER}.\n\nFim.", False),
        (f"Regras:\n{ORDER}.\n\nFim.", True),
        (f"Modelo:\nOi!\n\n{ORDER}.", True),
    ],
)
def test_an_order_is_a_leak(instructions: str, leaks: bool) -> None:
    """A sentence that speaks of the task is one, unless it is quoted or after a colon that announces no rules."""
    finding = screen(f"Oi! {ORDER}", instructions=instructions, context={})

    assert (finding is not None) == leaks


def test_what_an_order_is_about_may_be_said() -> None:
    """A passage of an order is a leak only when it goes over the words that speak of the task."""
    instructions = "Escreva ao lead que a loja nova da praia abre na segunda às nove."

    assert screen("A loja nova da praia abre na segunda às nove!", instructions=instructions, context={}) is None
    assert screen("Escreva ao lead que a loja...", instructions=instructions, context={}) is None
    assert screen("Escreva ao lead que a loja nova", instructions=instructions, context={}) is not None


@settings(max_examples=1_000)  # each of some fifty words is met by then
@given(st.from_regex(_VOICE))
def test_a_model_is_heard_by_one_of_its_words(text: str) -> None:
    """A text without any of the words of which each such phrase has one is not searched, and none is missed by that."""
    seen = plain(text)

    assert not _VOICE.search(seen) or not _VOICE_WORDS.isdisjoint(words_of(seen))


@pytest.mark.parametrize("text", ["I'm an \u0130A", "I am an a\u0131", "\u212anowledge cutoff", "a\u017f an AI model"])
def test_letters_that_only_count_as_others_hide_no_voice(text: str) -> None:
    """Letters that re takes for i, k and s where case does not matter are read as these."""
    assert not _VOICE.search(plain(text)) or not _VOICE_WORDS.isdisjoint(words_of(plain(text)))
