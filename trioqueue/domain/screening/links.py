"""Web and e-mail addresses in a text, also in the disguises that get them past a filter.

A link is compared without scheme, www, port 80 or 443, and final slash, in lower case.
"""

import re
from typing import Final

from trioqueue.domain.screening.words import word_set

_ENDINGS: Final = (
    "com|net|org|info|biz|br|pt|mx|uy|py|us|uk|ca|au|fr|it|eu|io|ai|app|dev|me|ly|gl|gg|tv|cc|co|cl|pe|ar|es|de|"
    "ch|nl|ru|cn|in|xyz|site|online|store|shop|club|live|link|click|top|vip|win|page|tech|cloud|digital|agency|pro|work|"
    "blog|bio|solutions|services|group|company|email|chat|to|gov|edu|mil|tk|ml|ga|gq|cf|ws|la|sh|st|fm|im|so|is|ink|"
    "example|adv|eco|art|ind|ong|social|media|world|today|news|bet|casino|finance|money|loan|zone|fun|icu|space|website"
)
"""Endings of hosts that are looked for without a scheme: those of the Americas and Europe, and the common others."""

_WORDS: Final = word_set(
    "me us to so is it in be de la no es st im ai pe co ar cl ch eu tv top live link page work win club click pro chat "
    "social company group today news world money fun space eco art ind media email loan zone bio "
    "site blog online digital"
)
"""Endings that are words too: without a path, the dot before them may be a full stop without its space."""

_EMAIL: Final = re.compile(r"(?<![\w.+%/-])[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?![\w-])")
_WITH_SCHEME: Final = re.compile(r"(?<![^\W_])(?:[a-z][a-z0-9+.-]{1,15}://|www\.)[^\s<>\"]+", re.IGNORECASE)
_BARE: Final = re.compile(
    rf"(?<![\w@./:-])(?:[\w-]+\.)+(?:{_ENDINGS}|{_ENDINGS.upper()})(?![\w@-]|\.\w)(?::\d{{1,5}})?(?:[/?#][^\s<>\"]*)?"
)
_ENDING: Final = re.compile(rf"\.(?=[a-zA-Z])(?:{_ENDINGS}|{_ENDINGS.upper()})(?!\w)")
_IN_BRACKETS: Final = re.compile(r"[\[({]\s?(?:[.@]|[dDpPaA])")
_SPELT: Final = re.compile(r" (?:ponto|punto|dot|arroba|PONTO|DOT|ARROBA) ")
_DISGUISES: Final = (
    (re.compile("[hH][xX]"), re.compile(r"[hH][xX][xX][pP](?=[sS]?:)"), "http"),
    (_IN_BRACKETS, re.compile(r"\s?[\[({]\s?(?:\.|(?i:dot|ponto|punto))\s?[\])}]\s?"), "."),
    (_IN_BRACKETS, re.compile(r"\s?[\[({]\s?(?:@|(?i:at|arroba))\s?[\])}]\s?"), "@"),
    (_SPELT, re.compile(rf" (?<=\w.)(?:ponto|punto|dot|PONTO|DOT) (?=(?:{_ENDINGS}|{_ENDINGS.upper()})\b)"), "."),
    (_SPELT, re.compile(r" (?<=\w.)(?:arroba|ARROBA) (?=\w+\.)"), "@"),
)
"""What tells that a disguise may be there, the disguise, and what it stands for."""

_TAIL: Final = ".,;:!?)]}'\"*_~…>"


def undisguised(text: str) -> str:
    """The text with dots and at signs that are written out as such."""
    for sign, disguise, shown in _DISGUISES:
        if sign.search(text):
            text = disguise.sub(shown, text)
    return text


def emails_in(text: str) -> list[str]:
    """The e-mail addresses of a text, as written, each once."""
    return list(dict.fromkeys(_EMAIL.findall(text))) if "@" in text else []


def links_in(text: str) -> list[str]:
    """The web addresses of a text, as written, each once."""
    found = _WITH_SCHEME.findall(text) if _has_scheme(text) else []
    rest = _WITH_SCHEME.sub(" ", text) if found else text
    found += _BARE.findall(rest) if _ENDING.search(rest) else []
    links = (link.rstrip(_TAIL) for link in dict.fromkeys(found))
    return [link for link in links if ("." in link or "://" in link) and not _is_two_sentences(link)]


def without_addresses(text: str) -> str:
    """The text without its web and e-mail addresses, whose digits are no numbers."""
    if "@" in text:
        text = _EMAIL.sub(" ", text)
    if _has_scheme(text):
        text = _WITH_SCHEME.sub(" ", text)
    return _BARE.sub(" ", text) if _ENDING.search(text) else text


def _has_scheme(text: str) -> bool:
    return "://" in text or "www." in text.lower()


def normal_link(link: str) -> str:
    """A web address as it is compared."""
    rest = link.casefold().replace("\\", "/")
    rest = rest.split("://", 1)[-1].rstrip(_TAIL)
    host, slash, path = rest.partition("/")
    for mark in "?#":
        if mark in host:
            host, _, query = host.partition(mark)
            slash, path = mark, query
    host = host.rsplit("@", 1)[-1].removeprefix("www.").removesuffix(":443").removesuffix(":80").rstrip(".")
    return (host + slash + path).rstrip("/")


def host_of(normal: str) -> str:
    """The host of a normalised link."""
    return re.split(r"[/?#]", normal, maxsplit=1)[0]


def page_of(normal: str) -> str:
    """Host and path of a normalised link, without query and fragment."""
    return re.split(r"[?#]", normal, maxsplit=1)[0].rstrip("/")


def _is_two_sentences(link: str) -> bool:
    if "/" in link or "?" in link or link.lower().startswith("www."):
        return False
    ending = link.rsplit(".", 1)[-1].lower()
    return ending in _WORDS and link.count(".") == 1
