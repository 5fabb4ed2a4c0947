"""The corpus of ordinary messages: each was written from the instructions and the lead that it stands with."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs

_CORPUS: Final = Path(__file__).with_name("corpus")


@attrs.frozen(eq=False)
class Ordinary:
    """A message that nobody would hold back, and what it was written from."""

    text: str
    instructions: str
    context: dict[str, Any]


def _corpus() -> Iterator[Ordinary]:
    for path in sorted(_CORPUS.glob("*.toml")):
        for group in tomllib.loads(path.read_text(encoding="utf-8"))["group"]:
            for text in group["ordinary"]["texts"]:
                yield Ordinary(text, group["instructions"], group["context"])


ORDINARY: Final = tuple(_corpus())
