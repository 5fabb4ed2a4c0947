"""What of a text may change under a model's hands, and where its parts are found again."""

import unicodedata
from collections.abc import Iterator
from itertools import chain, pairwise, product

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.split_texts import texts
from trioqueue.domain.splitting import normalise
from trioqueue.domain.splitting.characters import BLANKS, attaches, graphemes, is_plain, is_visible
from trioqueue.domain.splitting.faithfulness import Original


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Oi,  Maria!\r\n\r\nTudo bem?", "Oi, Maria!\nTudo bem?"),
        ("Oi\u00a0Maria\u200b \ufeff", "Oi Maria"),
        ("ação", unicodedata.normalize("NFD", "ação")),
        ("“Oi”, 'sim' – ou não — talvez…", '"Oi", ‘sim’ - ou não - talvez...'),
        ("é\u2028isso", "é isso"),
    ],
)
def test_what_may_change(one, other):
    """White space, line ends, composition, curly quotes, dashes and the ellipsis make no difference."""
    assert normalise(one) == normalise(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("R$ 1.500", "R$ 1500"),
        ("não", "nao"),
        ("Oi", "oi"),
        ("👩‍💻", "👩💻"),
        ("❤️", "❤"),
        ("Oi.", "Oi"),
        ("a\u2060b", "ab"),
        ("1º", "1o"),
        ("½", "1/2"),
        ("ﬁm", "fim"),
        ("2–3", "23"),
        ("a", "\u0430"),
        ("Oi \U000e0041", "Oi"),
    ],
)
def test_what_may_not_change(one, other):
    """Letters, digits, punctuation, joiners, variation selectors and what only looks alike make a difference."""
    assert normalise(one) != normalise(other)


def test_plain_characters_neither_change_nor_join():
    """Side by side in any order, each plain character is a grapheme and what it normalises to."""
    plain = [char for char in map(chr, range(0x300)) if char not in BLANKS]
    text = "".join(chain.from_iterable(product(plain, repeat=2)))

    assert is_plain(text)
    assert normalise(text) == text
    assert all(end - start == 1 for start, end in graphemes(text))
    assert not any(attaches(left, right) for left, right in product(plain, repeat=2))


@given(texts)
def test_a_text_is_itself(text):
    """A text as one part ends where it ends, and what is between blanks can be found from its place."""
    original = Original.of(text)

    assert original.ends_of([text]) == [len(original.normalised)] or normalise(text) != original.normalised
    assert sorted(original.places) == list(original.places)
    assert sorted(original.places.values()) == list(original.places.values())


@given(texts)
def test_every_way_to_find_places_finds_the_same(text):
    """A text of plain characters alone is read faster than one with an emoji, and the same is found."""
    alone, beside = Original.of(text), Original.of(f"{text} 👍")

    assert beside.normalised == f"{alone.normalised}👍"
    assert beside.places == {**alone.places, len(alone.normalised): len(text) + 1}


@given(texts, st.integers(0, 20), st.integers(0, 20) | st.none())
@example("\u115f", 0, None)
@example("Oi", 1, 1)
def test_what_is_visible(text, start, end):
    """A stretch is visible when one of its characters is; fillers that count as letters are not."""
    assert is_visible(text, start, end) is any(map(is_visible, text[start:end]))
    assert not any(map(is_visible, "\u115f\u1160\u3164\uffa0\u2800"))


@given(texts, st.data())
def test_parts_are_found_again(text, data):
    """Each end of a part that comes before a grapheme is the place of that grapheme in the text."""
    original = Original.of(text)
    starts = sorted(data.draw(st.sets(st.sampled_from(list(original.places.values()) or [len(text)]), max_size=5)))
    parts = [text[start:end] for start, end in pairwise((0, *starts, len(text)))]

    ends = original.ends_of(parts)
    if ends is not None and original.places:
        assert [original.places[end] for end in ends[:-1]] == starts


@given(st.lists(st.sampled_from(["Oi.", "Não vou.", " ", "R$ 1.500", "👩‍💻"]), min_size=2, max_size=8), st.data())
def test_a_change_is_noticed(pieces, data):
    """With a piece left out, doubled or exchanged for the next, the parts are not the text."""
    which = data.draw(st.integers(0, len(pieces) - 1))
    before, piece, after = pieces[:which], pieces[which], pieces[which + 1 :]
    changed = data.draw(
        st.sampled_from([[*before, *after], [*before, piece, piece, *after], [*before, *after[:1], piece, *after[1:]]])
    )
    original = Original.of("".join(pieces))

    same = "".join(changed).replace(" ", "") == "".join(pieces).replace(" ", "")
    assert (original.ends_of(changed) is not None) is same


def test_a_cut_within_a_letter_is_not_faithful():
    """A part that ends between a letter and its accent is not a slice of the composed text."""
    original = Original.of("cafe\u0301 com leite")

    assert original.ends_of(["cafe\u0301", "com leite"]) == [4, 12]
    assert original.ends_of(["café", "com leite"]) == [4, 12]
    assert original.ends_of(["cafe", "\u0301 com leite"]) is None


def test_an_end_within_an_ellipsis_has_no_place():
    """Where a model cuts the three full stops that it made of an ellipsis, nothing begins in the text."""
    original = Original.of("bem… sim")
    ends = original.ends_of(["bem.", ".. sim"])

    assert ends == [4, 9]
    assert original.places.keys() == {0, 1, 2, 3, 6, 7, 8}


def test_comparison_stops_at_the_first_difference():
    """Parts after one that differs are not looked at."""
    rest = iter(["never read"])

    def parts() -> Iterator[str]:
        yield "Oi"
        yield "outra"
        yield from rest

    assert Original.of("Oi, Maria").ends_of(parts()) is None
    assert list(rest) == ["never read"]
