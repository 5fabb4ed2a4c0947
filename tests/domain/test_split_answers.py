"""Splitting by a model's answer: every kind of answer in facts/split-corpus.md, and traps met on the way."""

import pytest
from hypothesis import given, note
from hypothesis import strategies as st

from tests.support.split_answers import KINDS, answered_messages
from trioqueue.domain.splitting import Split, SplitOrigin, split_by_answer, split_deterministically


@pytest.mark.parametrize("kind", KINDS, ids=str)
@given(data=st.data())
def test_kinds_of_answers(kind, data):
    """Of each kind of answer comes what must: the model's own boundaries, or those of the deterministic splitter."""
    message, answer = data.draw(answered_messages(kind))
    note(answer.content[:3000])

    split = split_by_answer(message.text, answer.content, message.max_parts)

    if answer.parts is None:
        assert split == Split(split_deterministically(message.text, message.max_parts), SplitOrigin.FALLBACK)
    else:
        assert split == Split(answer.parts, SplitOrigin.MODEL)
