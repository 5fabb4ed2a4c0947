"""Messages of which it is known how they are well cut, and the ways in which a model respells them."""

import unicodedata
from collections.abc import Sequence
from itertools import cycle, pairwise

import attrs
from hypothesis import strategies as st

LONG = (
    "O Sr. Silva, da Av. Paulista, nº 100, falou muito bem de vocês.",
    "Dá uma olhada em https://exemplo.com.br/planos?a=1&b=2#topo.",
    "O plano sai por R$ 1.234,56 por mês, ou 12,5% a menos no ano.",
)
"""Together they are long enough to be split."""

SENTENCES = (
    "Oi, Maria, tudo bem?",
    "Aqui é o João, da Padaria do Zé.",
    "Um copo d'água não custa mais — nem precisa de cartão.",
    "A gente se fala às 10:30, ou às 14h…",
    "*Só hoje* tem _desconto à vista_!",
    "Parabéns pela loja nova! 👩‍💻🇧🇷",
    "Me chama em ana@exemplo.com ou (11) 98765-4321.",
    "Can we talk tomorrow, e.g. at 3.30 p.m.?",
    "¿Qué le parece?",
    "你好。",
)
"""None of these has a double quote or a backslash, which some kinds of answer cannot hold."""

QUOTED = 'Se não fizer sentido, é só responder "agora não" que eu entendo.'
WITH_APOSTROPHE = "É simples como pedir um copo d'água na padaria."
WITH_NO = "Eu não insisto."
WITH_THOUSANDS = "O plano sai por R$ 1.500 por mês."
WITH_BOLD = "A *proposta comercial completa* cabe em uma página."
WITH_ADDRESS = "Está tudo em https://exemplo.com.br/planos?a=1&b=2 mesmo."
WITH_EMOJI = "O time todo fica junto 👩‍👩‍👧 no começo."

JOINTS = (" ", "\n", "\n\n", "  ", "\r\n", " \n ")


@attrs.frozen
class Message:
    """A text, the parts into which it is well cut, and how many parts are allowed."""

    text: str
    parts: tuple[str, ...]
    max_parts: int


@st.composite
def messages(draw: st.DrawFn, *must: str, least_parts: int = 1, joints: Sequence[str] = JOINTS) -> Message:
    """Messages of 150 to 1,000 characters made of whole sentences, in which those of `must` stand."""
    sentences = [*LONG, *must, *draw(st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=5))]
    first = draw(st.integers(0, len(sentences) - 1))
    between = cycle(draw(st.lists(st.sampled_from(joints), min_size=1, max_size=3)))
    text, ends = "", []
    for sentence in (*sentences[first:], *sentences[:first]):
        if text:
            ends.append(len(text))
            text += next(between)
        text += sentence
    max_parts = draw(st.integers(max(2, least_parts), 5))
    cuts = draw(st.sets(st.sampled_from(ends), min_size=least_parts - 1, max_size=max_parts - 1))
    edges = [0, *sorted(cuts), len(text)]
    return Message(text, tuple(text[start:end].strip() for start, end in pairwise(edges)), max_parts)


RESPELLINGS = (
    lambda part: part,
    lambda part: f" {part}\n",
    lambda part: unicodedata.normalize("NFD", part),
    lambda part: part.replace("'", "’").replace("—", "-").replace("…", "..."),
    lambda part: "\u00a0".join(part.split()),
    lambda part: "\ufeff" + "\n\n".join(part.split()),
    lambda part: "\u200b".join(part.split()) + "\u200b",
)
"""What a model may change of a part: white space, quotes and dashes, decomposed letters."""
