"""No text makes screening fail, or take more than time in proportion to its length."""

import random
import time
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.domain.screening.finding import ALL, found
from trioqueue.domain.screening import ScreeningRule, screen

PIECES: Final = [*"{}[]<>()@./\\$%#_-+:,;'\" \n0123459aZé\u200d\u200b１٠😀", "R$", "pix", "https://", "www.", ".com"]
SEEDS: Final = [
    *("a ", "1.", "cem ", "+1 ", "%", "AAAA", "(11) ", "[", "{{a", "pix 1", "a.b ", "Ana Maria Souza ", "é😀", "１"),
    *("<", "_", "R$", "$1", "a@a.", "क\u200d", "aqui está a b c d e ", "não posso ", "9 9999", "[dot]", "'"),
    random.Random(1).randbytes(300).decode("latin-1"),
]


@given(st.text(st.characters(codec=None), max_size=300), st.text(max_size=100))
def test_any_text_is_screened(text: str, instructions: str) -> None:
    """No text whatsoever makes it raise, as message, instructions or lead."""
    finding = screen(text, instructions=instructions, context={"client_name": text, "x": [text, 1.5, None]})

    assert finding is None or finding.reason.isprintable()


@given(st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_hostile_texts_are_screened(text: str) -> None:
    """What looks half like everything does not make it raise either."""
    finding = found(text)

    assert finding is None or finding.rule in ScreeningRule


@pytest.mark.parametrize("seed", SEEDS)
def test_time_is_linear(seed: str) -> None:
    """Eight times the text takes no more than some twenty times as long: nothing is quadratic."""
    times = []
    for size in (25_000, 200_000):
        text = seed * (size // len(seed))
        began = time.process_time()
        for rule in ScreeningRule:
            found(text, off=ALL - {rule})
        times.append(time.process_time() - began)

    assert times[1] < 20 * times[0] + 0.2
