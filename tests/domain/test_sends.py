"""Idempotency keys."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from trioqueue.domain.sends import idempotency_key

parts = st.tuples(st.uuids(), st.integers(1, 5))


def test_a_key_is_the_message_and_the_part() -> None:
    """The key that plan_parts.sql stores and the key that is sent are written in the same way."""
    assert idempotency_key(UUID(int=10), 2) == "00000000-0000-0000-0000-00000000000a:2"


@given(parts, parts)
def test_two_parts_never_share_a_key(one: tuple[UUID, int], other: tuple[UUID, int]) -> None:
    """Keys are equal for the same part of the same message, and only then."""
    assert (idempotency_key(*one) == idempotency_key(*other)) == (one == other)


@given(parts)
def test_a_key_goes_into_a_header(part: tuple[UUID, int]) -> None:
    """A key is short, printable ASCII without white space."""
    key = idempotency_key(*part)

    assert key.isascii()
    assert key.isprintable()
    assert " " not in key
    assert len(key) <= 64
