"""When a service says to come back: `retry-after-ms`, or Retry-After in seconds or as a date (RFC 9110, 10.2.3).

The order and the forms are those that OpenAI's client reads; after them comes X-RateLimit-Reset, which OpenRouter sends
with limits of its own, in milliseconds since 1970. Anything else counts as nothing said, so that the caller's own
back-off holds.
"""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST: Final = 86_400.0
"""Seconds. Daily limits, the longest that services have, end within a day; a slip of units asks for no longer."""

_MILLISECONDS_OF_2001: Final = 1e12

_NUMBER: Final = re.compile(r"\d+(?:\.\d*)?|\.\d+", re.ASCII)


def parse_retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds to wait, 0 to `LONGEST`, or None when the answer does not say.

    Args:
        headers: The answer's headers, with names in lower case or in a mapping that ignores case.
        now: The time with its zone, for a date in an answer that has no Date header. With one, the wait is the
            difference of the two, and it does not matter whose clock is wrong.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return min(milliseconds / 1000, LONGEST)
    text = headers.get("retry-after", "")
    seconds = _number(text)
    if seconds is None:
        now = _date(headers.get("date", "")) or now
        seconds = _until(text, now) if text else _until_reset(headers.get("x-ratelimit-reset", ""), now)
    return None if seconds is None else min(max(seconds, 0.0), LONGEST)


def _number(text: str) -> float | None:
    text = text.strip(" \t")
    if not _NUMBER.fullmatch(text):
        return None
    number = float(text)
    return number if math.isfinite(number) else None


def _until(text: str, now: datetime) -> float | None:
    date = _date(text)
    return None if date is None else (date - now).total_seconds()


def _until_reset(text: str, now: datetime) -> float | None:
    reset = _number(text)
    # Others write seconds here, of the clock or to wait; a number of another kind counts as nothing said.
    return None if reset is None or reset < _MILLISECONDS_OF_2001 else reset / 1000 - now.timestamp()


def _date(text: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
