"""Where sentences end, in Portuguese, English and Spanish as people write them in messages.

The rules lean to not seeing an end: a sentence too long is one part a little longer, a cut after "Sr." looks like a
machine.
"""

from typing import Final

import regex

CLOSERS: Final = "\"'”’»)\\]}*_~`"
"""What may stand between a sentence's last mark and the white space after it."""

_WINDOW: Final = 40
"""Characters looked at before a place: more than any abbreviation has, and it bounds the cost."""

_POINTING: Final = "👉👇👆⬇➡⤵▶✅✔☑🔹🔸🔗"
"""Emoji that announce what follows, and so never close what was before."""

_SMILEY: Final = rf"[[\p{{Extended_Pictographic}}\p{{Regional_Indicator}}]--[©®™{_POINTING}]]"
_MODIFIERS: Final = r"[\uFE0F\u20E3\U0001F3FB-\U0001F3FF\U000E0020-\U000E007F]"
_STARTS_WITH_SMILEY: Final = regex.compile(_SMILEY, regex.VERSION1)

# Those that look at what stands before a place match in reverse: from the place to the left.
_AFTER_SMILEY: Final = regex.compile(rf"{_SMILEY}{_MODIFIERS}*", regex.VERSION1 | regex.REVERSE)
_AFTER_INTRODUCTION: Final = regex.compile(rf"[:：{_POINTING}]\uFE0F?[*_~]*", regex.REVERSE)
_AFTER_MARK: Final = regex.compile(
    rf"(?P<word>[\p{{L}}\p{{N}}.ºª°]*+)(?P<mark>[.!?…。！？؟।]++)[{CLOSERS}]*+", regex.REVERSE
)
_AFTER_CLAUSE: Final = regex.compile(rf"(?:[,;:…–—]|\.\.)[{CLOSERS}]*+", regex.REVERSE)
_STARTS_INVERTED: Final = regex.compile(r"[\"'“‘«(\[{*_~]*[¿¡]")
_STARTS_LOWER: Final = regex.compile(r"[\"'“‘«(\[{*_~]*\p{Ll}")
_STARTS_WITH_DASH: Final = regex.compile(r"[-–—]\s")

_TIGHT: Final = regex.compile(
    rf"(?<=[!?…。！？।][{CLOSERS}]*|{_SMILEY}{_MODIFIERS}*)(?=[\p{{Lu}}\p{{Lo}}¿¡])", regex.VERSION1
)

_DOTTED: Final = regex.compile(r"\p{Lu}|(?:\p{L}{1,2}\.)+\p{L}{1,2}")
"""An initial (J.) or letters between full stops (S.A., e.g., EE.UU.)."""

_ADDRESSED: Final = (
    "sr sra srs sras srta srtas sres dr dra drs dras dña prof profa profª profs eng engª enga arq adv lic ing exmo "
    "exma ilmo ilma sto sta pe ud uds vd vds mr mrs ms st jr"
)
_PLACED: Final = "av al rod trav pça est jd vl pq ed apto ap bl cj conj qd lt km cep depto dpto esq dept"
_REFERRED: Final = (
    "n nº nª núm num art arts inc par cap vol fig pág págs pag p pp séc sec obs ref tel cel ex p.ex aprox máx mín cf "
    "vs ca cia ltda ltd co corp approx eg ie"
)
_ABBREVIATIONS: Final = frozenset(f"{_ADDRESSED} {_PLACED} {_REFERRED}".split())
"""Casefolded, without the last full stop. "etc." is none of them: before a capital it does end a sentence."""


def ends_sentence(text: str, end: int, start: int) -> bool:
    """Whether a sentence ends before the white space text[end:start]."""
    if _STARTS_WITH_SMILEY.match(text, start):
        return False  # it belongs to the sentence that it follows
    found = _before(_AFTER_MARK, text, end)
    if found is None:
        return bool(_before(_AFTER_SMILEY, text, end)) and not _STARTS_LOWER.match(text, start)
    mark = found["mark"]
    if mark.strip(".…") or _STARTS_INVERTED.match(text, start):
        return True
    return not _STARTS_LOWER.match(text, start) and not (mark == "." and _is_abbreviation(found["word"]))


def ends_clause(text: str, end: int, start: int) -> bool:
    """Whether there is a pause at the white space text[end:start]: a comma, a dash, an unfinished ellipsis."""
    return bool(_before(_AFTER_CLAUSE, text, end) or _STARTS_WITH_DASH.match(text, start))


def introduces(text: str, end: int) -> bool:
    """Whether text[:end] announces what follows, with a colon or a pointing emoji."""
    return _before(_AFTER_INTRODUCTION, text, end) is not None


def tight_sentence_starts(text: str) -> list[int]:
    """Where a sentence begins right after another, without white space: Oi!Tudo bem? Also scripts that use none."""
    return [match.start() for match in _TIGHT.finditer(text)]


def _before(reverse: regex.Pattern[str], text: str, end: int) -> regex.Match[str] | None:
    return reverse.match(text, max(0, end - _WINDOW), end)


def _is_abbreviation(word: str) -> bool:
    return word.casefold() in _ABBREVIATIONS or _DOTTED.fullmatch(word) is not None
