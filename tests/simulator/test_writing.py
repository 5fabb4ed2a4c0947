"""The messages of the simulated model."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from trioqueue.simulator.writing import LINKS_AND_PRICES, LONGEST, SHORTEST, outreach_message

VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=600) | st.lists(st.text(), max_size=2)
LEADS = st.dictionaries(st.sampled_from(["client_name", "company", "deal_value", "note"]), VALUES)


@given(LEADS, st.text())
def test_length(lead: dict[str, Any], prompt: str):
    """A message has 60 to 700 characters whatever is known of the lead."""
    message = outreach_message(lead, prompt)

    assert SHORTEST <= len(message) <= LONGEST


@given(LEADS, st.text())
def test_same_prompt(lead: dict[str, Any], prompt: str):
    """The same prompt gives the same message."""
    assert outreach_message(lead, prompt) == outreach_message(lead, prompt)


def test_variety():
    """Among a few hundred prompts there are short messages, paragraphs, addresses, amounts, emoji and bold text."""
    prompts = [f"{LINKS_AND_PRICES} {number}" for number in range(300)]
    messages = [outreach_message({"client_name": "Ana"}, prompt) for prompt in prompts]

    assert len(set(messages)) > 200
    assert min(len(message) for message in messages) < 150
    assert max(len(message) for message in messages) > 400
    assert all(any(sign in message for message in messages) for sign in ("\n\n", "https://", "R$", "👍🏽", "*", '"'))


def test_nothing_is_invented():
    """A prompt without links and prices gets messages without any."""
    messages = [outreach_message({"client_name": "Ana"}, str(number)) for number in range(300)]

    assert not any(sign in message for message in messages for sign in ("https://", "R$"))


def test_lead():
    """A message calls the lead by the first name and names the company."""
    message = outreach_message({"client_name": "  Ana\n Souza", "company": "Padaria Sol"}, "0")

    assert "Ana" in message
    assert "Souza" not in message
    assert "Padaria Sol" in message
