"""Whether a model's parts are the operator's text, and where in the text they begin.

Models change what nobody sees: white space, the shape of quotes and dashes, composed or decomposed letters. They also
change what matters: a number, a "não". Both texts are reduced to what matters; when they are equal then, the places
between the parts are looked up in the original, whose own slices are sent.
"""

import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from trioqueue.domain.splitting.characters import BLANKS, graphemes_of, is_plain, words

_BLANK: Final = frozenset(BLANKS)
_FOLDED: Final = str.maketrans(
    dict.fromkeys(BLANKS, "")
    | dict.fromkeys("“”„‟", '"')
    | dict.fromkeys("‘’‚‛", "'")
    | dict.fromkeys("‐‑‒–—―−", "-")
    | {"…": "..."}
)
"""Zero-width joiners and variation selectors stay: an emoji changes with them."""


def normalise(text: str) -> str:
    """What of a text must not change: NFC, without blanks, with straight quotes, plain hyphens and three full stops."""
    return unicodedata.normalize("NFC", text).translate(_FOLDED)


@attrs.frozen
class Original:
    """A text, ready to have parts compared with it.

    Attributes:
        normalised: The text normalised, grapheme by grapheme.
        places: For each place of `normalised` where a grapheme begins, where that grapheme begins in the text.
    """

    normalised: str
    places: Mapping[int, int]

    @classmethod
    def of(cls, text: str) -> "Original":
        """Normalise a text and remember where everything came from."""
        if is_plain(text):
            starts = [place for place, character in enumerate(text) if character not in _BLANK]
            return cls("".join([text[start] for start in starts]), dict(enumerate(starts)))
        pieces: list[str] = []
        places: dict[int, int] = {}
        length = 0
        for start, end in words(text):
            word = text[start:end]
            if is_plain(word):
                places.update(zip(range(length, length + len(word)), range(start, end), strict=True))
                pieces.append(word)
                length += len(word)
                continue
            for first, last in graphemes_of(text, start, end):
                piece = normalise(text[first:last])
                places[length] = first
                pieces.append(piece)
                length += len(piece)
        return cls("".join(pieces), places)

    def ends_of(self, parts: Iterable[str]) -> list[int] | None:
        """Where in `normalised` each part ends; None when the parts, joined, are another text.

        Gives up at the first part that differs, so the cost does not grow with what follows it.
        """
        ends: list[int] = []
        end = 0
        for part in parts:
            piece = normalise(part)
            if not self.normalised.startswith(piece, end):
                return None
            end += len(piece)
            ends.append(end)
        return ends if end == len(self.normalised) else None
