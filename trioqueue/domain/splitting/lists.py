"""The list items of a text: lines that begin with a bullet, a number or, where several do, an emoji."""

from collections.abc import Iterator
from typing import Final

import attrs
import regex

from trioqueue.domain.splitting.characters import BLANKS

_BREAKS: Final = r"\n\r\u2028\u2029"
_BULLET: Final = r"(?:[-*+•·●○▪◦‣⁃–—]|\d{1,3}[.)ºª°]|\p{L}\))[ \t]+(?=\S)|\d\uFE0F?\u20E3[ \t]*(?=\S)"
_EMOJI: Final = r"[✅✔☑✓➡➤▶►👉🔹🔸🔷🔶⭐💠]\uFE0F?[ \t]*(?=\S)"
_ITEM: Final = regex.compile(
    rf"[ \t]*+(?P<marker>{_BULLET}|(?P<emoji>{_EMOJI}))[^{_BREAKS}]*+"
    rf"(?:(?:\r\n|[{_BREAKS}])[ \t]++(?!{_BULLET}|{_EMOJI})\S[^{_BREAKS}]*+)*+"
)
_LINE_STARTS: Final = regex.compile(rf"[{_BREAKS}]+")


@attrs.frozen
class Item:
    """One item: its marker stands at `start`, its own words begin at `body` and end at `end`, on a later line perhaps.

    An indented line that is no item itself continues the one before it.
    """

    start: int
    body: int
    end: int


def list_items(text: str) -> list[Item]:
    """The items of all lists of a text, in order.

    A line that begins with an emoji is an item when another does too; a single one decorates a paragraph.
    """
    found = list(_found(text))
    by_emoji = sum(match["emoji"] is not None for match in found)
    return [
        Item(match.start("marker"), match.end("marker"), match.start() + len(match[0].rstrip(BLANKS)))
        for match in found
        if match["emoji"] is None or by_emoji > 1
    ]


def _found(text: str) -> Iterator[regex.Match[str]]:
    # To try at each line instead of each character is what makes this cheap.
    line: int | None = 0
    while line is not None:
        item = _ITEM.match(text, line)
        if item is not None:
            yield item
        following = _LINE_STARTS.search(text, item.end() if item else line)
        line = following.end() if following else None
