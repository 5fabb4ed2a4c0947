"""Retry-After in all the forms that services use, and in those that nobody should."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trioqueue.domain.retry_after import LONGEST, parse_retry_after

NOW = datetime(2026, 8, 1, 12, 0, tzinfo=UTC)

FORMS = [
    ({"retry-after": "0"}, 0.0),
    ({"retry-after": "7"}, 7.0),
    ({"retry-after": " 7 "}, 7.0),
    ({"retry-after": "1.5"}, 1.5),
    ({"retry-after": ".5"}, 0.5),
    ({"retry-after": "3."}, 3.0),
    ({"retry-after-ms": "1500"}, 1.5),
    ({"retry-after-ms": "12.5"}, 0.0125),
    ({"retry-after": "Sat, 01 Aug 2026 12:00:30 GMT"}, 30.0),
    ({"retry-after": "Saturday, 01-Aug-26 12:00:30 GMT"}, 30.0),
    ({"retry-after": "Sat Aug  1 12:00:30 2026"}, 30.0),
    ({"retry-after": "Sat, 01 Aug 2026 09:00:30 -0300"}, 30.0),
]


@pytest.mark.parametrize(("headers", "seconds"), FORMS)
def test_form(headers: dict[str, str], seconds: float):
    """Seconds may be whole or not, milliseconds have a header of their own, dates come in RFC 9110's three forms."""
    assert parse_retry_after(headers, NOW) == seconds


NO_FORMS = [
    "",
    "-1",
    "-0.5",
    "nan",
    "inf",
    "-inf",
    "1e3",
    "0x10",
    "1_000",
    "1,5",
    "٣",
    "soon",
    "5 s",
    "1 2",
    "0\x1f",
    "9" * 400,
]


@pytest.mark.parametrize("value", [*NO_FORMS, "Sat, 99 Aug 2026 12:00:30 GMT", "01 Aug 99999 12:00:30 GMT", "\x00"])
@pytest.mark.parametrize("name", ["retry-after", "retry-after-ms"])
def test_anything_else_counts_as_nothing_said(name: str, value: str):
    """What is no time to come is not guessed at."""
    assert parse_retry_after({name: value}, NOW) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"x-ratelimit-reset": "1785585630000"}, 30.0),
        ({"x-ratelimit-reset": "1785585630500", "date": "Sat, 01 Aug 2026 12:00:10 GMT"}, 20.5),
        ({"x-ratelimit-reset": "1785585630000", "retry-after": "7"}, 7.0),
        ({"x-ratelimit-reset": "1785585570000"}, 0.0),
        ({"x-ratelimit-reset": "30"}, None),
        ({"x-ratelimit-reset": "1785585630"}, None),
        ({"x-ratelimit-reset": "soon"}, None),
    ],
)
def test_the_reset_of_a_limit(headers: dict[str, str], seconds: float | None):
    """OpenRouter says when a limit of its own ends in milliseconds since 1970; Retry-After comes before it."""
    assert parse_retry_after(headers, NOW) == seconds


def test_nothing_said():
    """Without a header there is no wait."""
    assert parse_retry_after({}, NOW) is None


def test_milliseconds_come_before_seconds():
    """The finer header holds, and the other one where it is garbage."""
    assert parse_retry_after({"retry-after-ms": "250", "retry-after": "9"}, NOW) == 0.25
    assert parse_retry_after({"retry-after-ms": "soon", "retry-after": "9"}, NOW) == 9.0


def test_date_is_measured_with_the_service_clock():
    """With a Date header the wait is the difference of the service's own two times, however wrong its clock is."""
    headers = {"retry-after": "Sat, 01 Aug 2026 15:00:20 GMT", "date": "Sat, 01 Aug 2026 15:00:00 GMT"}

    assert parse_retry_after(headers, NOW) == 20.0
    assert parse_retry_after({**headers, "date": "today"}, NOW) == 3 * 3600 + 20


def test_date_in_the_past_means_now():
    """A wait is never negative."""
    assert parse_retry_after({"retry-after": "Sat, 01 Aug 2026 11:59:00 GMT"}, NOW) == 0.0


@pytest.mark.parametrize(
    "headers",
    [{"retry-after": "1785585600"}, {"retry-after-ms": "9" * 12}, {"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT"}],
)
def test_wait_is_a_day_at_most(headers: dict[str, str]):
    """An epoch in the place of seconds does not put a message off for decades."""
    assert parse_retry_after(headers, NOW) == LONGEST


ANY_HEADERS = st.dictionaries(
    st.sampled_from(["retry-after", "retry-after-ms", "date"]),
    st.text(max_size=40) | st.from_regex(r"[-+]?[0-9.eE_]{1,30}", fullmatch=True) | st.floats().map(str),
)


@given(ANY_HEADERS, st.datetimes(timezones=st.just(UTC)))
def test_any_headers_give_a_wait_within_bounds(headers: dict[str, str], now: datetime):
    """No headers raise, and no wait is negative or longer than a day."""
    wait = parse_retry_after(headers, now)

    assert wait is None or 0.0 <= wait <= LONGEST


@given(st.integers(0, 86_400), st.integers(-12 * 60, 12 * 60))
def test_date_gives_back_the_seconds_it_was_made_of(seconds: int, offset: int):
    """A date that many seconds ahead, in any zone, is a wait of that many seconds."""
    date = (NOW + timedelta(seconds=seconds)).astimezone(timezone(timedelta(minutes=offset)))

    assert parse_retry_after({"retry-after": date.strftime("%a, %d %b %Y %H:%M:%S %z")}, NOW) == seconds
