"""Data of other leads: what a model with a cache or a batch of its own mixes up between two messages.

The contexts of all messages in flight are indexed once, so a text costs as much with a thousand of them as with one.
"""

import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

import attrs

from trioqueue.domain.screening.findings import Finding, ScreeningRule, excerpt
from trioqueue.domain.screening.known import Known
from trioqueue.domain.screening.links import emails_in, host_of, normal_link
from trioqueue.domain.screening.numbers import digits
from trioqueue.domain.screening.plain import plain
from trioqueue.domain.screening.words import word_set, words_of

_SHARED_HOSTS: Final = word_set(
    """
    instagram.com facebook.com fb.com linkedin.com youtube.com youtu.be tiktok.com x.com twitter.com wa.me t.me bit.ly
    linktr.ee google.com g.page maps.app.goo.gl goo.gl sites.google.com pinterest.com whatsapp.com api.whatsapp.com
    wixsite.com medium.com github.com gmail.com hotmail.com outlook.com yahoo.com yahoo.com.br ifood.com.br
    """
)
"""Hosts of many people: there the path says whose page it is."""

_LONGEST_NAME: Final = 6
"""Words of a name that are looked for; a longer one is found by its first six."""

_FEWEST_OF_COMPANY: Final = 3
"""Words of a company's name that is looked for: one of two words is often a place or a thing too, such as Boa Vista."""

_PHONE_TAIL: Final = 8
"""Digits at the end of a telephone number by which it is looked up: a local number without area code."""

_NAME: Final = re.compile(
    r"[A-ZÀ-ÖØ-Þ](?<![\w'-].)[\w'-]{0,60}"
    r"(?:[ \t]{1,3}(?:(?:d[aeo]s?|del|la|las|los|e|y|van|von|di)[ \t]{1,3}){0,2}[A-ZÀ-ÖØ-Þ][\w'-]{0,60}){1,40}"
)


@attrs.frozen
class Addresses:
    """The addresses and telephone numbers of a text, as written, each once."""

    emails: Sequence[str]
    links: Sequence[str]
    phones: Sequence[str]


class KnownLeads:
    """The leads of the messages in flight, indexed by what is theirs alone."""

    def __init__(self) -> None:
        self._marks: dict[Hashable, tuple[str, ...]] = {}
        self._owners: Counter[str] = Counter()
        self._first_words: Counter[str] = Counter()

    def add(self, key: Hashable, context: Mapping[str, Any]) -> None:
        """Know a lead, under a key of its own; known again under the same key, the former is forgotten."""
        self.remove(key)
        marks = self._marks[key] = tuple(_marks_of(context))
        self._owners.update(marks)
        self._first_words.update(_first_word(mark) for mark in marks if mark.startswith("name:"))

    def remove(self, key: Hashable) -> None:
        """Forget a lead; one that is not known is no error."""
        for mark in self._marks.pop(key, ()):
            _uncount(self._owners, mark)
            if mark.startswith("name:"):
                _uncount(self._first_words, _first_word(mark))

    @contextmanager
    def during(self, key: Hashable, context: Mapping[str, Any]) -> Iterator[None]:
        """Know a lead for as long as its message is in flight."""
        self.add(key, context)
        try:
            yield
        finally:
            self.remove(key)

    def __len__(self) -> int:
        return len(self._marks)

    def find(self, text: str, addresses: Addresses, known: Callable[[], tuple[Known, ...]]) -> Finding | None:
        """The first datum of a known lead that is not `known` to this one.

        Args:
            text: The text, plain.
            addresses: What addresses and numbers are in it.
            known: Tells what this message may say; asked only when something is found.
        """
        if not self._owners:
            return None
        for email in addresses.emails:
            if f"email:{email.casefold()}" in self._owners and not any(one.has_email(email) for one in known()):
                return _finding("the e-mail address", email)
        for link in addresses.links:
            normal = normal_link(link)
            mark = f"site:{_site(normal)}"
            if mark in self._owners and not any(_site(normal) in one.hosts or one.has_link(normal) for one in known()):
                return _finding("the website", link)
        for phone in addresses.phones:
            mark = f"phone:{digits(phone)[-_PHONE_TAIL:]}"
            if mark in self._owners and not any(one.has_phone(phone) for one in known()):
                return _finding("the telephone number", phone)
        for name in self._names_in(text):
            if not any(one.has_name(name) for one in known()):
                return _finding("the name", " ".join(name))
        return None

    def _names_in(self, text: str) -> Iterator[tuple[str, ...]]:
        if not self._first_words:
            return
        for found in dict.fromkeys(_NAME.findall(text)):
            words = words_of(found)
            for start, word in enumerate(words):
                if word in self._first_words:
                    yield from self._names_at(words[start : start + _LONGEST_NAME])

    def _names_at(self, words: list[str]) -> Iterator[tuple[str, ...]]:
        for length in range(2, len(words) + 1):
            if f"name:{' '.join(words[:length])}" in self._owners:
                yield tuple(words[:length])


def _marks_of(context: Mapping[str, Any]) -> Iterator[str]:
    for field, fewest in (("client_name", 2), ("company", _FEWEST_OF_COMPANY)):
        name = words_of(plain(_text(context, field)))
        if len(name) >= fewest:
            yield f"name:{' '.join(name[:_LONGEST_NAME])}"
    for email in emails_in(plain(_text(context, "primary_email"))):
        yield f"email:{email.casefold()}"
    phone = digits(plain(_text(context, "primary_phone")))
    if len(phone) >= _PHONE_TAIL:
        yield f"phone:{phone[-_PHONE_TAIL:]}"
    site = _site(normal_link(plain(_text(context, "primary_website")).strip()))
    if "." in site:
        yield f"site:{site}"


def _text(context: Mapping[str, Any], name: str) -> str:
    value = context.get(name)
    return value if isinstance(value, str) else ""


def _site(normal: str) -> str:
    host = host_of(normal)
    return normal if host in _SHARED_HOSTS else host


def _first_word(mark: str) -> str:
    return mark.removeprefix("name:").partition(" ")[0]


def _uncount(counts: Counter[str], item: str) -> None:
    counts[item] -= 1
    if counts[item] <= 0:
        del counts[item]


def _finding(what: str, found: str) -> Finding:
    return Finding(ScreeningRule.OTHER_LEAD, f"{what} of another lead: {excerpt(found)}")
