"""Which cuts the deterministic splitter makes, seen on whole messages and against every other choice."""

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.split_texts import places_of
from trioqueue.domain.splitting import MAX_PART_LENGTH, TextTooLong, split_deterministically
from trioqueue.domain.splitting.choice import _COST, _MOST_WEIGHED, _count_wanted, _strongest, best_cuts
from trioqueue.domain.splitting.cuts import Cut, Rank

SENTENCE = "A gente ajuda lojas como a sua a vender bem mais. "
CLAUSE = "se for bom para a loja da senhora, "


@pytest.mark.parametrize(
    "message",
    [
        (
            "Oi, Maria! Tudo bem?\n\n|Aqui é o João, da Padaria do Zé. Vi que vocês abriram uma loja na Av. Paulista e "
            "queria dar os parabéns! 🎉\n\n|A gente ajuda lojas como a sua a vender no WhatsApp, sem fidelidade. "
            "Posso te mandar um resumo de 2 minutos?"
        ),
        (
            "Olá, Carlos! Aqui é a Ana, da Trio. Preparei três opções para vocês:\n\n1. Básico: R$ 199,90 por mês.\n"
            "2. Profissional: R$ 399,90 por mês. Inclui suporte por telefone.\n3. Completo: R$ 799,90 por mês, sem "
            "limite.\n\n|Qual delas faz mais sentido para a Construtora Silva? Se preferir, posso ligar às 10h30."
        ),
        (
            "Oi Ana! 👋 Tudo bem com você e com o pessoal da *Clínica Sorriso. Unidade Centro*? Espero que sim 😊 |"
            "Queria te contar que abrimos a agenda de *novembro* (são poucas vagas. Mesmo!) e lembrei de vocês. Olha o "
            "que está incluso 👇\n\n✅ Site novo\n✅ Domínio por 1 ano\n✅ Suporte 24h\n\n|O investimento é de 10x de "
            "R$ 149,00. Bora?"
        ),
        (
            "Oi Pedro, tudo certo? |Passando para lembrar que a proposta vence na sexta-feira e que o desconto só vale "
            "até lá, então se tiver alguma dúvida sobre o contrato é só me chamar por aqui mesmo"
        ),
        (
            "Good morning, Dr. Smith! I came across Smith & Co. Ltd. while researching clinics in Austin. |We help "
            "clinics cut no-shows by 30%, e.g. with automatic reminders. Would you be open to a call at 3.30 p.m.?"
        ),
        (
            "¡Hola, Lucía! ¿Cómo estás? Soy Marta, de EE.UU. Vi que Ud. dirige la empresa desde 2019. |¿Te gustaría "
            "ver una demo de 15 minutos? Te dejo el enlace: https://ejemplo.com/demo?ref=abc. ¡Un saludo! 😊"
        ),
        "Veja: " + "- é um traço, não uma lista, e nada aqui termina antes do fim " * 5,
        "Temos:\n" + "- item sem pressa nenhuma\n" * 20,
    ],
)
def test_whole_messages(message):
    """A message is cut as a person would type it: greeting, paragraphs, a list with its introduction, the question."""
    parts = tuple(part.strip() for part in message.split("|"))

    assert split_deterministically(message.replace("|", ""), 3) == parts


@pytest.mark.parametrize("max_parts", [2, 3, 4, 5])
def test_balance(max_parts):
    """Sentences of the same length are shared out evenly among the parts allowed."""
    counts = [part.count(".") for part in split_deterministically(SENTENCE * 20, max_parts)]

    assert len(counts) == max_parts
    assert max(counts) - min(counts) <= 1


def test_no_more_parts_than_the_length_is_worth():
    """A part is worth about 150 characters; a text of a few hundred is not torn into five."""
    assert len(split_deterministically(SENTENCE * 4, 5)) == 2
    assert len(split_deterministically(SENTENCE * 7, 5)) == 3


def test_paragraphs_come_first():
    """Of a place between two paragraphs and a more even one within, the former is chosen."""
    text = SENTENCE * 2 + "\n\n" + SENTENCE * 4

    assert split_deterministically(text, 2) == ((SENTENCE * 2).strip(), (SENTENCE * 4).strip())


def test_a_list_longer_than_a_part_is_cut_between_items():
    """A list that does not fit is cut, and never inside an item."""
    item = "- um item, com vírgula. E outra frase! " * 4

    parts = split_deterministically("Temos:\n" + f"{item}\n" * 10, 3)

    assert len(parts) > 1
    assert all(part.startswith("- um item") for part in parts[1:])
    assert all(part.endswith("outra frase!") for part in parts)


@pytest.mark.parametrize(
    ("text", "last"),
    [
        (SENTENCE * 12 + CLAUSE * 30 + "fim.", ".,"),
        (CLAUSE * 40 + "fim", ","),
        ("palavra " * 180, "a"),
        ("x" * 1_300, "x"),
        ("x" * 400 + " " + "y" * 1_300, "xy"),
        ("👩‍👩‍👧‍👦" * 150, "👦"),
    ],
)
def test_weaker_places_when_there_are_no_better_ones(text, last):
    """What has no sentence end within 1,000 characters is cut at clauses, else at words, else between graphemes."""
    parts = split_deterministically(text, 3)

    assert len(parts) > 1
    assert {part[-1] for part in parts[:-1]} <= set(last)
    assert places_of(text, parts)


def test_a_limit_met_exactly():
    """Three parts of exactly 1,000 characters are possible, and one character more is not."""
    text = " ".join("abc. " * 199 + "abcd." for _ in range(3))

    assert [len(part) for part in split_deterministically(text, 3)] == [1_000] * 3
    with pytest.raises(TextTooLong):
        split_deterministically(f"{text}.", 3)


def test_long_blanks_count_within_a_part_only():
    """Blanks at which a text is cut are not sent, so any number of them there is harmless."""
    text = "a" * 900 + " " * 50_000 + "b" * 900 + "\n" * 50_000 + "c" * 900

    assert split_deterministically(text, 3) == ("a" * 900, "b" * 900, "c" * 900)
    with pytest.raises(TextTooLong):
        split_deterministically(text, 2)


@st.composite
def lengths_with_cuts(draw: st.DrawFn) -> tuple[int, list[Cut]]:
    """A text's length and a few places where it may be cut."""
    steps = draw(st.lists(st.tuples(st.integers(1, 700), st.integers(0, 300)), min_size=1, max_size=7))
    place, cuts = 0, []
    for size, blank in steps:
        cuts.append(Cut(place + size, place + size + blank, draw(st.sampled_from(Rank))))
        place += size + blank
    return place + draw(st.integers(1, 700)), cuts


def cost_of(length: int, cuts: tuple[Cut, ...], count: int) -> float:
    """What a choice costs when `count` parts are wanted."""
    starts, ends = [0, *(cut.start for cut in cuts)], [*(cut.end for cut in cuts), length]
    sizes = [end - start for start, end in zip(starts, ends, strict=True)]
    if max(sizes) > MAX_PART_LENGTH:
        return float("inf")
    return sum((size * count / length) ** 2 for size in sizes) + sum(_COST[cut.rank] for cut in cuts)


@given(lengths_with_cuts(), st.integers(1, 5))
def test_no_other_choice_is_better(length_with_cuts, max_parts):
    """Cuts are chosen wherever any choice is possible, none of a weaker rank than needed, and none could be cheaper."""
    length, cuts = length_with_cuts
    every = [chosen for count in range(max_parts) for chosen in combinations(cuts, count)]
    possible = [chosen for chosen in every if cost_of(length, chosen, 1) < float("inf")]

    made = best_cuts(length, cuts, max_parts)

    assert (made is not None) is bool(possible)
    if made is not None:
        weakest = max(min((Rank.SENTENCES, *(cut.rank for cut in chosen))) for chosen in possible)
        allowed = [chosen for chosen in possible if all(cut.rank >= weakest for cut in chosen)]
        fewest = min(len(chosen) for chosen in allowed) + 1
        count = max(fewest, min(max_parts, _count_wanted(length, [cut for cut in cuts if cut.rank >= weakest])))
        best = min(cost_of(length, chosen, count) for chosen in allowed if len(chosen) < count)
        assert tuple(made) in allowed
        assert cost_of(length, tuple(made), count) == pytest.approx(best)


@given(st.lists(st.sampled_from([Rank.SENTENCES, Rank.PARAGRAPHS]), max_size=2_000))
def test_few_cuts_are_weighed(ranks):
    """However many cuts there are, a hundred are weighed, no stronger one left out for a weaker one near it."""
    cuts = [Cut(place, place, rank) for place, rank in enumerate(ranks, 1)]

    weighed = _strongest(len(cuts) + 1, cuts)

    assert len(weighed) <= _MOST_WEIGHED
    assert {*weighed} <= {*cuts}
    gap = (len(cuts) + 1) // _MOST_WEIGHED + 1
    assert all(after.start - before.start <= 2 * gap for before, after in pairwise(weighed))
