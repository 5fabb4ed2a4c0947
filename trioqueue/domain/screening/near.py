"""Slow patterns where they can match alone.

A pattern with many branches and look-behinds costs a microsecond at every character. A trigger, which re finds by its
first character, tells where it is worth trying, so an ordinary text costs next to nothing.
"""

import re
from collections.abc import Iterator


def around(trigger: re.Pattern[str], text: str, before: int, after: int) -> Iterator[tuple[int, int]]:
    """Start and end of the surroundings of each match of a trigger; those that overlap are one."""
    start = end = -1
    for found in trigger.finditer(text):
        if found.start() - before > end:
            if end >= 0:
                yield start, end
            start = max(0, found.start() - before)
        end = found.end() + after
    if end >= 0:
        yield max(0, start), end


def matches_near(
    pattern: re.Pattern[str], trigger: re.Pattern[str], text: str, before: int, after: int
) -> Iterator[re.Match[str]]:
    """The matches of a pattern that lie in the surroundings of a trigger's."""
    for start, end in around(trigger, text, before, after):
        yield from pattern.finditer(text, start, end)
