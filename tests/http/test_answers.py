"""Reading what nobody vouches for."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioqueue.http.answers import EXCERPT_LENGTH, excerpt, mapping, read_json, storable

ANY_TEXT = st.text(st.characters(), max_size=400)
"""Lone surrogates and control characters included."""


@given(st.binary(max_size=200))
def test_any_bytes_are_json_or_nothing(body: bytes):
    """No bytes raise; what json would not write is nothing."""
    value = read_json(body)

    assert value is None or json.loads(json.dumps(value)) == value or value != value


NO_JSON = {
    "empty": b"",
    "html": b"<html><body>502 Bad Gateway</body></html>",
    "latin-1": '{"message": "não"}'.encode("latin-1"),
    "utf-16": '{"a": 1}'.encode("utf-16"),
    "deep": b"[" * 1_000_000,
    "long number": b"9" * 1_000_000,
    "two values": b"{} {}",
    "cut off": b'{"choices": [{"message": {"content": "Oi',
}


@pytest.mark.parametrize("body", NO_JSON.values(), ids=NO_JSON)
def test_what_is_no_json_is_nothing(body: bytes):
    """HTML, other encodings, cut, surplus and bottomless bodies read as nothing."""
    assert read_json(body) is None


def test_keep_alives_and_byte_order_mark_are_skipped():
    """White space, which keeps a connection alive, and a byte order mark may come first."""
    assert read_json(b" \n\n   \r\n" + b'{"a": 1}\n') == {"a": 1}
    assert read_json(b"\xef\xbb\xbf" + b'{"a": 1}') == {"a": 1}


@given(ANY_TEXT)
def test_storable_text_can_be_stored(text: str):
    """What is left can be written in UTF-8 without NUL, and nothing else is lost."""
    stored = storable(text)

    assert "\0" not in stored.encode("utf-8").decode("utf-8")
    assert stored == "".join(char for char in text if char != "\0" and not "\ud800" <= char <= "\udfff")


@given(ANY_TEXT, st.text(st.characters(codec="ascii", exclude_categories=["C"]), max_size=30))
def test_excerpt_is_one_short_line_without_the_secret(text: str, secret: str):
    """Whatever the text, its excerpt is short, on one line, can be stored and shown, and is without the secret."""
    line = excerpt(f"{text}{secret}{text}", secret)

    assert len(line) <= EXCERPT_LENGTH
    assert line.isprintable()
    assert line == storable(line)


def test_excerpt_hides_the_secret_before_it_cuts():
    """A secret that would straddle the cut is hidden whole, not shown by half."""
    secret = "sk-or-v1-0123456789abcdef"

    line = excerpt("x" * (EXCERPT_LENGTH - 10) + secret, secret)

    assert "sk-or" not in line
    assert line.endswith("***")


def test_excerpt_keeps_what_people_write():
    """Letters of any language stay; terminal sequences, zero-width characters and line ends become one space."""
    assert excerpt("  não há\r\n\x1b[31mcrédito\u200b!  ", "") == "não há [31mcrédito !"


def test_excerpt_of_a_megabyte_is_cut():
    """Of a long text the start is kept, and it shows that there was more."""
    line = excerpt("word " * 200_000, "")

    assert len(line) == EXCERPT_LENGTH
    assert line.endswith("…")


@pytest.mark.parametrize("value", [None, [], "text", 1, True])
def test_what_is_no_object_has_no_fields(value: object):
    """A field may be asked of any value."""
    assert mapping(value).get("error") is None
