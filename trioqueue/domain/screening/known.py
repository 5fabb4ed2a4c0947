"""What a message may say: the addresses, numbers, amounts and names of the instructions and of the lead's context."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

import attrs

from trioqueue.domain.screening.links import emails_in, host_of, links_in, normal_link, page_of, undisguised
from trioqueue.domain.screening.numbers import digits, forms_of_phone, number_runs
from trioqueue.domain.screening.plain import plain, texts_of
from trioqueue.domain.screening.prices import known_amounts
from trioqueue.domain.screening.words import joined, words_of

_TEMPLATE_MARKS = "{[<$("


@attrs.frozen
class Known:
    """The facts of a text, in the forms in which they are compared.

    Attributes:
        links: Normalised links, and their pages without query and fragment.
        hosts: The hosts of links and of e-mail addresses.
        stems: What links begin with that end in a template's mark.
        emails: E-mail addresses in lower case.
        numbers: Runs of eight digits and more.
        amounts: The values of numbers that may be money.
        words: All words.
        text: The text in lower case.
    """

    links: frozenset[str]
    hosts: frozenset[str]
    stems: tuple[str, ...]
    emails: frozenset[str]
    numbers: str
    amounts: frozenset[Decimal]
    words: str
    text: str

    def has_link(self, link: str) -> bool:
        """Whether a normalised link, or the page that it leads to, is here."""
        if link in self.links or page_of(link) in self.links:
            return True
        return (link in self.hosts) if link == host_of(link) else link.startswith(self.stems)

    def has_email(self, email: str) -> bool:
        """Whether an e-mail address is here."""
        return email.casefold() in self.emails

    def has_phone(self, phone: str) -> bool:
        """Whether a telephone number is here, with or without its country code."""
        return any(form in self.numbers for form in forms_of_phone(phone))

    def has_key(self, key: str) -> bool:
        """Whether a Pix key is here, however it is punctuated."""
        if len(digits(key)) in (11, 14) and digits(key) in self.numbers:
            return True
        return key.casefold() in self.text

    def has_name(self, words: Iterable[str]) -> bool:
        """Whether a name stands here, word after word."""
        return joined(list(words)) in self.words


def known_of(texts: Iterable[str]) -> Known:
    """The facts of some texts."""
    text = undisguised(plain("\n".join(texts)))
    emails = frozenset(email.casefold() for email in emails_in(text))
    written = list(links_in(text))
    links = {normal_link(link) for link in written}
    links |= {page_of(link) for link in links}
    stems = {_stem(link) for link in links} - links
    hosts = {host_of(link) for link in links} | {email.partition("@")[2] for email in emails}
    return Known(
        frozenset(links),
        frozenset(hosts),
        tuple(stem for stem in stems if "/" in stem),
        emails,
        number_runs(text),
        frozenset(known_amounts(text)),
        joined(words_of(text)),
        text.casefold(),
    )


@lru_cache(maxsize=64)
def known_of_instructions(instructions: str) -> Known:
    """The facts of the instructions; those of a run are the same for all its messages."""
    return known_of([instructions])


def known_of_context(context: Mapping[str, Any]) -> Known:
    """The facts of a lead's context."""
    return known_of(texts_of(context))


def _stem(link: str) -> str:
    ends = [at for mark in _TEMPLATE_MARKS if (at := link.find(mark)) >= 0]
    return link[: min(ends)] if ends else link
