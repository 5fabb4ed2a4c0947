"""What is never cut in two: addresses, numbers and amounts, emphasis, code, asides and list items."""

from collections.abc import Iterable, Iterator
from typing import Final

import regex

from trioqueue.domain.splitting.characters import BLANKS
from trioqueue.domain.splitting.limits import MAX_PART_LENGTH
from trioqueue.domain.splitting.lists import Item

_SPACE: Final = "[ \u00a0\u202f]"

_TOKEN: Final = regex.compile(rf"[^{BLANKS}\p{{Lo}}\p{{So}}“”…。！？]+")
"""What an address can be made of. Scripts without spaces between words (Lo) and emoji end it."""

_ADDRESS: Final = regex.compile(r"://|\w@\w|\w\.\p{L}\p{L}")
"""Tells a token that is a URL, an e-mail address or a bare domain such as exemplo.com.br/a?b=c."""

_EMPHASIS: Final = "|".join(
    rf"(?<![\p{{L}}\p{{N}}{mark}]){mark}(?=[^\s{mark}])[^{mark}\n]*[^\s{mark}]{mark}(?![\p{{L}}\p{{N}}{mark}])"
    for mark in (r"\*", "_", "~")
)
"""WhatsApp's *bold*, _italic_ and ~strike~: marks that touch the text within and no letter without."""

_PATTERNS: Final = (
    regex.compile(r"(?<![\d.,])\d+(?:[.,:/-]\d+)*+[%°ºª]?"),
    # Groups of digits with one space, full stop or hyphen between them: telephone numbers, 1 500, 123.456.789-00.
    regex.compile(rf"(?<!\d)\+?\(?\d{{1,5}}\)?(?:(?:{_SPACE}|[.-])\(?\d{{1,5}}\)?)+"),
    regex.compile(
        rf"(?:\p{{Lu}}{{0,2}}\p{{Sc}}|\b(?:BRL|USD|EUR|GBP|ARS|MXN|CLP|COP)){_SPACE}?\d[\d.,]*"
        rf"(?:{_SPACE}(?:mil|mi|milhão|milhões|millón|millones|bi|bilhão|bilhões|thousand|million|billion|[kKM])\b)?"
    ),
    regex.compile(rf"(?<![\d.,])\d[\d.,]*+{_SPACE}(?:%|\p{{Sc}}|(?:reais|dólares|dollars|euros|pesos|BRL|USD|EUR)\b)"),
    regex.compile(_EMPHASIS),
    regex.compile("```[^`]+```|`[^`\n]+`"),
    regex.compile(r"\([^()\n]{1,200}+\)"),
)


def protected_places(text: str, items: Iterable[Item]) -> bytearray:
    """For each place of a text, 1 where a cut would go through one of these or through one of the list items given.

    What is longer than a part may be has to be cut, and does not count.
    """
    places = bytearray(len(text) + 1)
    for start, end in _spans(text, items):
        if end - start <= MAX_PART_LENGTH:
            places[start + 1 : end] = b"\1" * (end - start - 1)
    return places


def _spans(text: str, items: Iterable[Item]) -> Iterator[tuple[int, int]]:
    if _ADDRESS.search(text):
        for token in _TOKEN.finditer(text):
            if _ADDRESS.search(text, token.start(), token.end()):
                yield token.span()
    for pattern in _PATTERNS:
        for match in pattern.finditer(text):
            yield match.span()
    for item in items:
        yield item.start, item.end
        yield item.start, item.body + 1
