"""Texts and answers of any kind for splitting, and what must hold of every split."""

import json
from collections.abc import Sequence
from itertools import pairwise

import regex
from hypothesis import strategies as st

from tests.support.split_messages import SENTENCES
from trioqueue.domain.splitting import MAX_PART_LENGTH, normalise

BLANK = regex.compile(r"[\s\x1c-\x1f\u200b\ufeff]*")

_PIECES = (
    *SENTENCES,
    *("a", "Ã", "palavra", "ção", "x" * 40, " ", " ", " ", "\n", "\n\n", "\r\n", "\t", "\u00a0", "\u2028", "\x1f"),
    *(
        ".",
        "!",
        "?",
        "…",
        ",",
        ":",
        "...",
        "?!",
        "—",
        "-",
        "(",
        ")",
        "*",
        "_",
        "~",
        "`",
        '"',
        "'",
        "“",
        "”",
        "\\",
        "\0",
    ),
    *(
        "- item",
        "1. ",
        "✅ ",
        "2️⃣ ",
        "[",
        "]",
        "{",
        "}",
        '{"messages": ["',
        "<think>",
        "</think>",
        "\\n",
        "1.500",
        "R$ 9",
    ),
    *(
        "😊",
        "👩‍💻",
        "👍🏽",
        "🇧🇷",
        "🇧",
        "❤️",
        "\u200d",
        "\ufe0f",
        "\u0301",
        "e\u0301",
        "\u1100",
        "\u1161",
        "\u11a8",
        "क्षि",
        "\u0600",
    ),
    *("\u200b", "\ufeff", "\u2060", "\u00ad", "\u3164", "\u2800", "\U000e0041", "\ud800", "你好。", "ไทย", "مرحبا؟"),
)

_passages = st.lists(st.sampled_from(_PIECES), min_size=6, max_size=30).map("".join)

texts = st.one_of(
    st.text(st.characters(), max_size=300),
    _passages,
    st.lists(_passages, min_size=4, max_size=9).map(" ".join),
    st.tuples(_passages, st.integers(2, 300)).map(lambda drawn: (drawn[0] * drawn[1])[:6_000]),
)
"""Any text: of any characters, of pieces that are hard to cut, and long ones that repeat themselves."""


@st.composite
def faithful_answers(draw: st.DrawFn, text: str) -> tuple[str, list[str]]:
    """An answer that cuts the text anywhere at all or at blanks only, and the parts that it names."""
    blanks = [blank.end() for blank in BLANK.finditer(text) if blank[0]]
    anywhere = draw(st.booleans()) or not blanks
    places = draw(st.sets(st.integers(0, len(text)) if anywhere else st.sampled_from(blanks), max_size=6))
    parts = [text[start:end] for start, end in pairwise((0, *sorted(places), len(text)))]
    return json.dumps({"messages": parts}), [part for part in parts if normalise(part)]


@st.composite
def answers(draw: st.DrawFn, text: str) -> str | None:
    """Any answer: none, any characters, pieces of JSON, and faithful ones, some of them damaged."""
    kind = draw(st.sampled_from(("none", "any", "damaged", "faithful", "faithful")))
    if kind == "none":
        return None
    if kind == "any":
        anything: str = draw(texts)
        return anything
    answer: str = draw(faithful_answers(text))[0]
    if kind == "damaged":
        start, end = sorted(draw(st.tuples(st.integers(0, len(answer)), st.integers(0, len(answer)))))
        damage: str = draw(st.sampled_from((*"\"[]{},\\'“\n", "")))
        return answer[:start] + damage + answer[end:]
    return answer


def places_of(text: str, parts: Sequence[str]) -> list[tuple[int, int]]:
    """Where the parts stand in the text; they must follow each other with nothing but blanks around them."""
    places, place = [], 0
    for part in parts:
        start = _after_blank(text, place)
        place = start + len(part)
        assert text[start:place] == part
        places.append((start, place))
    assert _after_blank(text, place) == len(text)
    return places


def _after_blank(text: str, place: int) -> int:
    blank = BLANK.match(text, place)
    return blank.end() if blank else place


def check_parts(text: str, parts: Sequence[str], max_parts: int) -> None:
    """What holds of the parts of every split, whoever decided."""
    assert 1 <= len(parts) <= max_parts
    for part in parts:
        assert 1 <= len(part) <= MAX_PART_LENGTH
        assert part == part.strip()
        assert regex.search(r"[^\s\p{C}\p{Default_Ignorable_Code_Point}]|\p{Co}|\p{Cn}", part)
    for between in ("", " ", "\n"):
        assert normalise(between.join(parts)) == normalise(text)
    grapheme_ends = {0, *(grapheme.end() for grapheme in regex.finditer(r"\X", text))}
    for (_, end), (start, _) in pairwise(places_of(text, parts)):
        assert {start, end} <= grapheme_ends
