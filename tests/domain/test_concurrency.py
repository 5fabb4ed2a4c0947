"""How many calls of a model may be under way."""

from hypothesis import given
from hypothesis import strategies as st

from trioqueue.domain.concurrency import LEAST, halved, increased


@given(st.lists(st.booleans()), st.integers(1, 1000))
def test_it_stays_within_its_bounds(successes: list[bool], most: int) -> None:
    """Whatever comes, at least one call may be under way, and never more than the setting allows."""
    limit = float(most)
    for success in successes:
        limit = increased(limit, most) if success else halved(limit)

        assert LEAST <= limit <= most


def test_one_more_for_every_round() -> None:
    """As many successes as the limit allows at once raise it by about one."""
    limit = 8.0
    for _ in range(8):
        limit = increased(limit, 100)

    assert 8.9 < limit < 9.0
