"""What is wrong with the model's service: its key and the models that campaigns name. Nothing here was paid for."""

from collections.abc import Iterable, Iterator
from decimal import Decimal
from typing import Final, TypeAlias, assert_never

import attrs

from trioqueue.domain.budgets import dollars
from trioqueue.domain.checkup.findings import Check, Finding, failure, ok, warning
from trioqueue.domain.words import counted

_ROUTING_SUFFIXES: Final = frozenset({"nitro", "floor", "online", "exacto"})
"""What OpenRouter takes after any model's name and lists nowhere."""

_PRESET: Final = "@preset/"
"""How the names of an account's own presets begin at OpenRouter; they are listed nowhere."""


@attrs.frozen
class KeyFacts:
    """What the service tells of a key; amounts in US dollars, None where it names none.

    Attributes:
        limit: What the key may spend.
        remaining: What is left of that.
        used_today: What the key has spent today (UTC).
        free_tier: Whether the account has never paid.
    """

    limit: Decimal | None = None
    remaining: Decimal | None = None
    used_today: Decimal | None = None
    free_tier: bool = False


@attrs.frozen
class ModelList:
    """The models of a service.

    Attributes:
        names: Their names.
        complete: Whether a model that is not among them is refused. Other servers of OpenRouter's shape may take names
            that they do not list: tags, wildcards.
    """

    names: frozenset[str]
    complete: bool


@attrs.frozen
class Refused:
    """The service does not accept the key."""

    reason: str


@attrs.frozen
class Unreachable:
    """There was no answer."""

    reason: str


@attrs.frozen
class Untold:
    """There was an answer, and it does not tell what was asked: the service lacks the path, or is in trouble."""

    reason: str


KeyAnswer: TypeAlias = KeyFacts | Refused | Unreachable | Untold
ModelsAnswer: TypeAlias = ModelList | Refused | Unreachable | Untold

_REFUSED_ADVICE: Final = "set OPENROUTER_API_KEY to a key that the service at TRIOQUEUE_OPENROUTER_URL knows"
_UNREACHABLE_ADVICE: Final = "check TRIOQUEUE_OPENROUTER_URL, DNS, firewall and proxy, and whether the service is up"
_UNTOLD_ADVICE: Final = "a service need not have this path; a message to a number of your own shows whether it works"


def judge_key(answer: KeyAnswer) -> Finding:
    """What the answer about the key means."""
    match answer:
        case KeyFacts(remaining=remaining) if remaining is not None and remaining <= 0:
            advice = "raise the limit of the key: the service refuses calls, and runs are paused"
            return failure(Check.MODEL_KEY, f"the key is valid and used up: {_spending(answer)}", advice)
        case KeyFacts():
            return ok(Check.MODEL_KEY, f"the key is valid: {_spending(answer)}")
        case Refused(reason):
            return failure(Check.MODEL_KEY, f"the service refuses the key: {reason}", _REFUSED_ADVICE)
        case Unreachable(reason):
            return failure(Check.MODEL_KEY, f"the service cannot be reached: {reason}", _UNREACHABLE_ADVICE)
        case Untold(reason):
            return warning(Check.MODEL_KEY, f"the key could not be checked: {reason}", _UNTOLD_ADVICE)
        case _:
            assert_never(answer)


def _spending(key: KeyFacts) -> str:
    said = ["no limit of its own" if key.limit is None else f"limit {dollars(key.limit)}"]
    said += [f"{dollars(key.remaining)} left"] if key.remaining is not None else []
    said += [f"{dollars(key.used_today)} used today"] if key.used_today is not None else []
    said += ["free tier"] if key.free_tier else []
    return ", ".join(said)


def judge_models(answer: ModelsAnswer, named: Iterable[str]) -> Iterator[Finding]:
    """What the list of models means for those that runs and settings name."""
    wanted = sorted(set(named))
    match answer:
        case ModelList():
            yield from _missing(answer, wanted)
        case Refused(reason):
            yield failure(Check.MODELS, f"the service refuses the key: {reason}", _REFUSED_ADVICE)
        case Unreachable(reason):
            yield failure(Check.MODELS, f"the service cannot be reached: {reason}", _UNREACHABLE_ADVICE)
        case Untold(reason):
            yield warning(Check.MODELS, f"the models could not be checked: {reason}", _UNTOLD_ADVICE)
        case _:
            assert_never(answer)


def _missing(listed: ModelList, wanted: list[str]) -> Iterator[Finding]:
    missing = [model for model in wanted if not is_listed(model, listed.names)]
    if not wanted:
        found = f"the service lists {counted(len(listed.names), 'model')}; no run that is open names one"
        yield ok(Check.MODELS, found)
    elif not missing:
        yield ok(Check.MODELS, f"the service has {', '.join(wanted)}")
    for model in missing:
        if listed.complete and not model.startswith(_PRESET):
            advice = "correct the campaign's model or fallback_models: the first call would pause the run"
            yield failure(Check.MODELS, f"the service does not list {model}", advice)
        else:
            advice = "if calls are refused, use the name as the service writes it"
            yield warning(Check.MODELS, f"the service does not list {model}, but may know it all the same", advice)


def is_listed(model: str, names: frozenset[str]) -> bool:
    """Whether a model is among those listed, without what a service takes after any name."""
    base, _, suffix = model.rpartition(":")
    return model in names or (suffix in _ROUTING_SUFFIXES and base in names)
