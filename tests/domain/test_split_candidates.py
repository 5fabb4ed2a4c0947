"""Reading lists of strings out of what a model returned: hand-picked answers, any answer, and bounds."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.split_texts import texts
from trioqueue.domain.splitting import SplitOrigin, split_by_answer
from trioqueue.domain.splitting.candidates import LONGEST_ANSWER, candidates

A, B = "Oi, Maria! Tudo bem?", "Posso te ligar?"
OBJECT = json.dumps({"messages": [A, B]})


@pytest.mark.parametrize(
    "answer",
    [
        OBJECT,
        f"```json\n{OBJECT}\n```",
        f'Formato: {{"messages": ["a", "b"]}}\nResposta: {OBJECT}',
        f'{{"messages": ["{A}"]}}\n{{"messages": ["{B}"]}}',
        f'{{"text": "{A}"}}\n{{"text": "{B}"}}',
        f"<think>{{[“</think>{OBJECT}",
        f'{{messages: ["{A}", "{B}"]}}',
        f"[nota] {{n}} {OBJECT} [fim]",
        f'{{"messages": ["{A}" "{B}",],}}',
        f'{{"messages": [{{"text": "{A}"}} {{"text": "{B}"}}]}}',
        f"{{“messages”: [“{A}”, “{B}”]}}",
        f"{{„messages“: [„{A}“, „{B}“]}}",
        json.dumps(OBJECT),
        f"\ufeff{json.dumps(OBJECT)}\n",
        json.dumps({"messages": json.dumps([A, B])}),
        json.dumps({"result": {"ok": True, "parts": [{"n": 1, "body": A}, {"n": 2, "body": B}]}}),
        json.dumps({"1": A, "2": B}),
        json.dumps({"parts": [[A, B]]}),
    ],
)
def test_what_is_read(answer):
    """The two parts are among the lists found."""
    assert (A, B) in candidates(answer)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        OBJECT[:-1],
        OBJECT[:-2],
        OBJECT[:-3],
        f'{{"messages": ["{A}", "{B}',
        f'{{"messages": ["{A}", "{B}\\',
        f"<think>{OBJECT}",
        f"<think>a</think> <think>{OBJECT}",
        f'{{"messages": ["{A}"], "messages": ["{B}"]}}',
        f'{{"a": {{"x": 1, "x": 2}}, "messages": ["{A}", "{B}"]}}',
        f'{{"messages": ["{A}", NaN, "{B}"]}}',
        f'{{"messages": ["{A}", "{B}"], "score": Infinity}}',
        f'{{"messages": ["{A}", 1, "{B}"]}}',
        f'{{"messages": ["{A}", null, "{B}"]}}',
        f'{{"messages": ["{A}", "", "{B}"]}}',
        f"{{'messages': ['{A}', '{B}']}}",
        json.dumps(json.dumps(OBJECT)),
        json.dumps({"messages": json.dumps(json.dumps([A, B]))}),
        "[" * 13 + f'"{A}", "{B}"' + "]" * 13,
        OBJECT.replace("Maria", "Ma\\u0000ria"),
        OBJECT.replace("Maria", "Ma\\ud83dria"),
    ],
)
def test_what_is_not_read(answer):
    """Neither of the parts is taken from JSON that is cut off, repeats a key, holds something else, or is thought."""
    assert not [parts for parts in candidates(answer) if {A, B} & {*parts}]


@pytest.mark.parametrize(
    ("sentence", "read"),
    [
        ('Ele disse "oi" e saiu.', True),
        ('Ele disse "oi", e saiu.', True),
        ('"Oi" foi o que disse.', True),
        ('Ele disse: "oi"', True),
        ('Foi "oi".', True),
        ('Ele disse "oi", "tchau" e saiu.', False),
        ('Ele escreveu ["oi"] na lista.', False),
    ],
)
def test_unescaped_quotes(sentence, read):
    """Unescaped quotes are read where it is clear that they delimit nothing, and never make a wrong cut."""
    long = "Uma frase mais longa para que valha a pena cortar este texto em várias partes, ou em duas pelo menos."
    text = f"{sentence} {long} {sentence} {long}"

    split = split_by_answer(text, f'{{"messages": ["{sentence} {long}", "{sentence} {long}"]}}', 3)

    assert (split.origin is SplitOrigin.MODEL) is read
    assert split.parts == (f"{sentence} {long}",) * 2 or not read


def test_truncated_values_end_the_reading():
    """What follows a value that is cut off is inside it: the lists there are not the model's answer."""
    assert not list(candidates(f'{{"draft": "x", "messages": ["{A}", "{B}"]'))
    assert {*candidates(f'{OBJECT} {{"messages": ["{A}')} == {(A, B)}


def test_the_last_word_counts():
    """Of several values the last is the likeliest, and together they come after each alone."""
    answer = '["a", "b"] ["c", "d"]'

    assert list(candidates(answer))[:3] == [("c", "d"), ("a", "b"), ("a", "b", "c", "d")]


def test_literal_line_breaks():
    """A list with backslash and n is taken as it is, and then as a list with line breaks."""
    assert list(candidates('["C:\\\\nova"]')) == [("C:\\nova",), ("C:\nova",)]


def test_long_answers_are_not_read():
    """An answer longer than any that splits a text is not read, however faithful it is."""
    padding = " " * (LONGEST_ANSWER - len(OBJECT))

    assert list(candidates(OBJECT + padding)) == [(A, B)]
    assert not list(candidates(OBJECT + padding + " "))


@pytest.mark.parametrize(
    "answer",
    [
        "[" * LONGEST_ANSWER,
        "[]" * 10_000,
        '["a"]' * 4_000,
        "{" + ",".join(f'"{number}": "a"' for number in range(1_700)) + "}",
        json.dumps({str(number): '["a"]' for number in range(1_000)}),
        '["a"' + ",]" * 9_000,
        '{"a":' * 4_000 + "1" + "}" * 4_000,
        json.dumps(["\\n" * 30] * 100),
    ],
)
def test_bounded_number_of_lists(answer):
    """However many values and lists an answer has, a bounded number is taken of each reading of it."""
    assert len(list(candidates(answer))) <= 800


def test_bounded_number_of_values():
    """Of many values in a row twenty are read, and joined they are one list at most that long."""
    assert max(len(parts) for parts in candidates('["a"] ' * 50)) == 20


@given(texts | st.text("[]{}\",:\\n ab“”'", max_size=60))
def test_any_answer_is_read(answer):
    """Whatever is read from whatever was said, it is a list of visible strings that can be sent."""
    for parts in candidates(answer):
        assert parts
        assert all(part.strip().encode() and "\0" not in part for part in parts)


json_of_strings = st.recursive(
    st.text("ab, []{}:", max_size=6),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text("ab", max_size=3), values, max_size=4),
    max_leaves=12,
)


def strings_in(value: Any) -> set[str]:
    """All strings in a JSON value, its keys left out."""
    if isinstance(value, str):
        return {value}
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return {string for item in inner for string in strings_in(item)}


@given(json_of_strings)
def test_any_json_of_strings(value):
    """Only strings that stand in a value are read from it; nothing is invented."""
    assert all(strings_in(value).issuperset(parts) for parts in candidates(json.dumps(value)))
