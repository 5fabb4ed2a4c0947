"""No ordinary message is turned away."""

from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from tests.domain.screening.finding import other_leads
from tests.domain.screening.ordinary import ORDINARY, Ordinary
from trioqueue.domain.screening import screen

NAMES: Final = st.from_regex(r"[a-z]{3,12}", fullmatch=True)
LINKS: Final = st.builds(
    lambda scheme, www, name, ending, path: f"{scheme}{www}{name}.{ending}{path}",
    st.sampled_from(["", "https://", "http://"]),
    st.sampled_from(["", "www."]),
    NAMES,
    st.sampled_from(["com", "com.br", "net", "es", "io", "app", "co.uk"]),
    st.sampled_from(["", "/", "/planos", "/a/b?x=1&y=2", "/c#d", "?q=1"]),
)
PRICES: Final = st.builds(
    lambda sign, number: f"{sign} {number}",
    st.sampled_from(["R$", "US$", "$", "€", "£", "USD"]),
    st.integers(0, 9_999_999).map(lambda cents: f"{cents / 100:,.2f}") | st.integers(0, 99_999).map(str),
)


def test_no_false_alarms() -> None:
    """Not one of over 300 ordinary messages in three languages is turned away, with all their leads in flight."""
    leads = other_leads(*{id(one.context): one.context for one in ORDINARY}.values())
    alarms = [
        (one.text, finding)
        for one in ORDINARY
        if (finding := screen(one.text, instructions=one.instructions, context=one.context, others=leads))
    ]

    assert alarms == []
    assert len({one.text for one in ORDINARY}) >= 300


@given(LINKS, PRICES, st.sampled_from(ORDINARY))
def test_what_the_instructions_say_may_be_said(link: str, price: str, one: Ordinary) -> None:
    """A message with a link and a price of its instructions is not turned away for them."""
    instructions = f"{one.instructions}\nOferta: {price}, veja {link} hoje"
    text = f"{one.text} {link} por {price}, agora"

    assert screen(text, instructions=instructions, context=one.context) is None
