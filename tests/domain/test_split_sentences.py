"""Where sentences end, and what is never cut."""

import pytest
import regex
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.split_texts import check_parts, places_of
from trioqueue.domain.splitting import TextTooLong, split_deterministically
from trioqueue.domain.splitting.cuts import Rank, natural_cuts
from trioqueue.domain.splitting.lists import _ITEM, _found


def cut_by_rank(text: str, rank: Rank) -> list[str]:
    """The pieces of a text between its cuts of this rank or a higher one."""
    pieces, begin = [], 0
    for cut in natural_cuts(text):
        if cut.rank >= rank:
            pieces.append(text[begin : cut.end])
            begin = cut.start
    return [*pieces, text[begin:]]


@pytest.mark.parametrize(
    "sentences",
    [
        ["Oi, Maria!", "Tudo bem?", "Aqui é o João."],
        ["O Sr. Silva e a Dra. Ana moram na Av. Paulista.", "Ela, na R. Augusta, 10."],
        ["Temos laptops, celulares etc. e muito mais.", "Acessórios etc.", "Temos tudo."],
        ["Trabalhamos com p. ex. PDF, e.g. notas, i.e. tudo.", "Veja p.ex. a p. 10."],
        ["Fica no nº 5, ou seja, Nº. 6, bl. B, apto. 12.", "Fechado?"],
        ["Sai por R$ 1.234,56, ou 3.5 por dia.", "Das 10.30 às 12.30.", "Em 2024.", "10 pessoas vieram."],
        ["Bem... não sei... talvez… ou não.", "Sei lá...", "Depois vejo…", "Tá?"],
        ["Jura?!", "Sim!!!", "Claro (mesmo!).", '"Sério?"', "“Sério.”", "Ok."],
        ["Veja www.x.com.br/a?b=c.", "Ou https://x.com/?q=a.b!", "Ou ana@x.com.", "Tchau."],
        ["A empresa é a Foo S.A. de São Paulo.", "Falei com J. K. Rowling."],
        ["Bom dia! 😊", "Tudo bem? 👩‍💻🇧🇷", "Que bom ❤️", "Aqui é a Ana."],
        ["Adorei 😊 muito.", "Veja 👉 aqui.", "Olha isso 👇 https://x.com."],
        ["*Só hoje!*", "_Aproveite._", "Válido até as 18h."],
        ["Mr. Smith vs. Dr. Who.", "It costs 3.50, approx. 4 dollars.", "I said no.", "Then yes."],
        ["¿Qué tal?", "¡Hola!", "Soy el Lic. Pérez, de EE.UU.", "¿Y Ud. cómo está?"],
        ["oi!", "tudo bem?", "aqui é a univ. de campinas.", "Pode falar?"],
        ["Já chegou o pedido nº 5. 🚀", "Obrigado."],
    ],
)
def test_sentence_ends(sentences):
    """Sentences end at their marks, also before quotes, brackets and emoji, not at abbreviations and numbers."""
    assert cut_by_rank(" ".join(sentences), Rank.SENTENCES) == sentences


@pytest.mark.parametrize(
    "sentences",
    [["Oi!", "Tudo bem?", "Sim…", "Ok"], ["你好。", "今天好吗？", "好！"], ["Legal 😊", "Vamos"], ["¡Sí!", "¿Qué?"]],
)
def test_sentences_without_space(sentences):
    """A sentence that follows another without white space begins a sentence all the same."""
    assert cut_by_rank("".join(sentences), Rank.SENTENCES) == sentences


@pytest.mark.parametrize(
    "text", ["Veja x.com/Oi?A=1!B agora", "ana@x.com.Br", "Bem.Vindo ao time", "O preço é 5!5 mesmo"]
)
def test_marks_within_words(text):
    """A mark inside an address, a number or a word ends no sentence."""
    assert cut_by_rank(text, Rank.SENTENCES) == [text]


def test_ranks():
    """Paragraphs, lines, sentences, list items, clauses and words, from the most to the least natural cut."""
    text = "Oi. Eu, Ana,\nvi\n\nVeja:\n- um\n- dois"

    assert [(text[cut.start :].split()[0], cut.rank) for cut in natural_cuts(text)] == [
        ("Eu,", Rank.SENTENCES),
        ("Ana,", Rank.CLAUSES),
        ("vi", Rank.LINES),
        ("Veja:", Rank.PARAGRAPHS),
        ("-", Rank.ITEMS),
        ("-", Rank.ITEMS),
    ]
    assert list(Rank) == [
        Rank.GRAPHEMES,
        Rank.WORDS,
        Rank.CLAUSES,
        Rank.ITEMS,
        Rank.SENTENCES,
        Rank.LINES,
        Rank.PARAGRAPHS,
    ]


PROTECTED = (
    "https://exemplo.com.br/a?b=c&d=1.5,x!Y",
    "www.exemplo.com.br",
    "exemplo.com.br/planos?a=1",
    "ana.maria+crm@exemplo.com.br",
    "R$ 1.234,56",
    "R$\u00a01.500",
    "US$ 30 mil",
    "€ 99",
    "1.500,00 reais",
    "12,5 %",
    "1 500 000",
    "10/12/2026",
    "10:30",
    "+55 (11) 98765-4321",
    "11 98765 4321",
    "123.456.789-00",
    "*oferta de hoje. Só hoje!*",
    "_bem simples_",
    "~R$ 200 por mês~",
    "*_as duas coisas_*",
    "`um código. Dois`",
    "```um\ncódigo. Dois```",
    "(veja bem. É sério)",
    "👩‍👩‍👧‍👦",
    "👍🏽",
    "🇧🇷",
    "1️⃣",
    "é",
    "- um item. Com duas frases, ou três",
    "* item",
    "2. Segundo item! Mesmo",
    "b) outro item, sem pressa",
    "• mais um item\n  que continua. Assim",
    "3️⃣ item com emoji. Sim",
)
LINES = PROTECTED[-6:]


@pytest.mark.parametrize("protected", PROTECTED)
def test_no_cut_inside(protected):
    """No address, amount, number, emphasis, code, aside, emoji or list item is cut, wherever it stands."""
    text = f"Oi, Ana.\n{protected}\nTudo bem"

    start, end = text.index(protected), text.index(protected) + len(protected)
    assert not [cut for cut in natural_cuts(text) if start < cut.start and cut.end < end]
    assert {cut.start for cut in natural_cuts(text)} >= {start, end + 1}


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("5 * 3 e 4 * 2", 7),
        ("~20 a ~30 pessoas", 4),
        ("snake_case e outro_nome", 3),
        ("*aberto sem fim", 3),
        ("pessoas (ou não", 3),
        ("✅ uma linha só, com emoji", 6),
        ("um - traço - no meio", 6),
        ("em 2024 gastei muito", 4),
    ],
)
def test_what_only_looks_protected(text, pieces):
    """Marks that pair with nothing protect nothing."""
    assert len(cut_by_rank(text, Rank.WORDS)) == pieces


@given(st.lists(st.sampled_from([*"-1.aé)*✅ \t\n\r\u2028", "\r\n", "- um", "✅ dois", "3) três"])).map("".join))
@example("")
def test_list_items_are_found_line_by_line(text):
    """As they would be by a search that tries at every character."""
    everywhere = regex.compile(rf"(?<![^\n\r\u2028\u2029])(?:{_ITEM.pattern})")

    assert [item.span() for item in _found(text)] == [item.span() for item in everywhere.finditer(text)]


def test_emoji_lists():
    """Lines that begin with an emoji are list items where there are at least two."""
    text = "Temos:\n✅ Entrega. Grátis\n✅ Troca. Fácil\n➡️ Suporte"

    assert cut_by_rank(text, Rank.WORDS) == ["Temos:", "✅ Entrega. Grátis", "✅ Troca. Fácil", "➡️ Suporte"]
    assert {cut.rank for cut in natural_cuts(text)} == {Rank.ITEMS}


def test_protected_and_too_long():
    """What alone is longer than 1,000 characters is cut, at its own best places."""
    emphasis = "*" + "Uma frase. " * 120 + "Fim*"
    address = "https://exemplo.com.br/" + "a" * 1_500

    assert [part[-1] for part in split_deterministically(emphasis, 2)] == [".", "*"]
    assert "".join(split_deterministically(f"{address} ok", 3)) == f"{address} ok"


@pytest.mark.parametrize("marker", ["1. ", "- ", "b) ", "3️⃣ "])
def test_the_marker_of_a_long_item(marker):
    """An item too long for one part is cut, but never right after its marker."""
    cuts = natural_cuts(marker + "Uma frase. " * 120 + "Fim")

    assert cuts[0].start > len(marker)
    assert cuts[0].rank is Rank.WORDS


WORDS = ("olá", "preço", "bem", "a", "casa,", "João", "que", "sempre:", "agora;", "fim.", "Sim!", "não?", "então…", "e")


@st.composite
def texts_with_protected(draw: st.DrawFn) -> tuple[str, list[tuple[int, int]]]:
    """Texts of words and protected pieces, and where those stand."""
    pieces = draw(st.lists(st.sampled_from(WORDS) | st.sampled_from(PROTECTED), min_size=5, max_size=60))
    stretch = draw(st.sampled_from((1, 1, 2, 5, 12)))
    text, places = "", []
    for piece in pieces * stretch:
        line = piece in LINES
        text += "\n" if line and text and not text.endswith("\n") else ""
        if piece in PROTECTED:
            places.append((len(text), len(text) + len(piece)))
        text += piece + ("\n" if line else draw(st.sampled_from((" ", "\n"))) if stretch == 1 else " ")
    return text, places


@given(texts_with_protected(), st.integers(1, 5))
def test_no_part_ends_inside(text_with_protected, max_parts):
    """However tight the limits are, no part ends inside of what is never cut."""
    text, protected = text_with_protected
    try:
        parts = split_deterministically(text, max_parts)
    except TextTooLong:
        return

    check_parts(text, parts, max_parts)
    ends = [end for _, end in places_of(text, parts)]
    assert not [(start, end) for start, end in protected for cut in ends if start < cut < end]
