"""Every setting: its type, default, rule and meaning.

The reference of the settings and the test that holds it complete are made from `SETTINGS`.
"""
# ruff: noqa: RUF009 - what _option and _secret return is an attrs field

from collections.abc import Callable, Mapping
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import attrs
import platformdirs
import typed_settings as ts
from typed_settings.constants import METADATA_KEY, SECRET_REPR
from typed_settings.types import SecretRepr

from trioqueue.domain.budgets import MOST_TOKENS, Limits
from trioqueue.domain.errors import TrioqueueError
from trioqueue.domain.screening import ScreeningRule
from trioqueue.settings.rules import (
    ADDRESS,
    DATABASE,
    DOLLARS,
    KEY,
    MODEL,
    PATH,
    REGION,
    SCHEMA,
    SCREENING_RULE,
    YES_OR_NO,
    Rule,
    each,
    mask_database_url,
    one_of,
    plain_number,
    repeat_refused,
    seconds,
    whole,
)

PREFIX: Final = "TRIOQUEUE_"
"""What the environment variables of settings start with."""

_RULE: Final = "trioqueue.rule"

# Bounds in seconds. They catch a value in another unit and a slip of the finger; every wait stays finite.
_MOMENT: Final = 0.01
_HOUR: Final = 3600.0
_DAY: Final = 24 * _HOUR
_YEAR: Final = 365 * _DAY


class SettingsError(TrioqueueError):
    """Settings are wrong. `problems` has a sentence for each that was found; none holds a secret."""

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(self.problems)


class LogLevel(StrEnum):
    """The least severe log line that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """How log lines are written; `AUTO` is the console's form on a terminal and JSON elsewhere."""

    AUTO = "auto"
    JSON = "json"
    CONSOLE = "console"


def _without_end_slash(value: object) -> object:
    return value.rstrip("/") if isinstance(value, str) else value


def _keep_rule(_settings: object, attribute: "attrs.Attribute[Any]", value: object) -> None:
    setting = SETTINGS[attribute.name]
    if not setting.allows(value):
        raise SettingsError(setting.refusal(setting.name, value))


def _user_data_path() -> Path | None:
    """The user's data directory; None for an account without a home, such as a container's --user 12345 may be."""
    try:
        return platformdirs.user_data_path("trioqueue", appauthor=False)
    except RuntimeError:
        return None


def _option(default: object, rule: Rule, text: str, *, converter: Callable[[Any], Any] | None = None) -> Any:
    return ts.option(default=default, converter=converter, validator=_keep_rule, metadata={_RULE: rule}, help=text)


def _secret(rule: Rule, text: str) -> Any:
    return ts.secret(default=None, validator=_keep_rule, metadata={_RULE: rule}, help=text)


@attrs.frozen(kw_only=True)
class Settings:
    """Everything that can be set; what each means, and its unit, is its help text in `SETTINGS`.

    Raises:
        SettingsError: A value is not allowed.
    """

    database_url: ts.Secret[str] | None = _secret(
        DATABASE, "The PostgreSQL database. Unset: an embedded PostgreSQL under data_dir, started and stopped here."
    )
    schema: str = _option("trioqueue", SCHEMA, "The schema of the database that holds every table and function.")
    schemas: tuple[str, ...] = _option(
        (),
        each(SCHEMA),
        "The schemas that a worker serves, in turn. Unset: the one that schema names. Workers that share a model's "
        "account name the same one first.",
    )
    data_dir: Path | None = _option(
        attrs.Factory(_user_data_path),
        PATH,
        "The directory of the embedded PostgreSQL. Unset: the user's data directory of the platform.",
    )
    pg_bin: Path | None = _option(
        None, PATH, "The directory of PostgreSQL's programs for the embedded server. Unset: the installed wheel's."
    )
    pool_size: int = _option(4, whole(1, 100), "The most connections to the database that a worker keeps.")
    statement_timeout: float = _option(
        30.0, seconds(_MOMENT, _HOUR), "Seconds after which the database gives up a statement."
    )
    prepared_statements: bool = _option(
        True, YES_OR_NO, "Whether statements are prepared. Turn off behind PgBouncer in transaction mode."
    )
    listen: bool = _option(
        True,
        YES_OR_NO,
        "Whether NOTIFY wakes the worker between polls. Turn off behind PgBouncer in transaction mode.",
    )
    openrouter_url: str = _option(
        "https://openrouter.ai/api/v1",
        ADDRESS,
        "The base URL of the model service; /chat/completions is appended.",
        converter=_without_end_slash,
    )
    openrouter_api_key: ts.Secret[str] | None = _secret(KEY, "The key of the model service.")
    fallback_models: tuple[str, ...] = _option(
        (),
        each(MODEL),
        "Models that stand in, in this order, while a campaign's own does not answer; a campaign may name others.",
    )
    max_cost_per_day: Decimal | None = _option(
        None,
        DOLLARS,
        "Most US dollars that all runs together may spend on models in a day (UTC); they pause until the next one. The "
        "same for all workers.",
    )
    max_tokens_per_day: int | None = _option(
        None,
        whole(1, MOST_TOKENS),
        "Most tokens that all runs together may use in a day (UTC); they pause until the next one. The same for all "
        "workers.",
    )
    gateway_url: str | None = _option(None, ADDRESS, "The URL of the messaging gateway that parts are posted to.")
    gateway_key: ts.Secret[str] | None = _secret(KEY, "The key of the messaging gateway.")
    gateway_idempotent: bool = _option(
        False,
        YES_OR_NO,
        "Whether the gateway delivers once however often it gets the same Idempotency-Key. "
        "Only then is a part with an unknown outcome sent again.",
    )
    gateway_lookup_url: str | None = _option(
        None,
        ADDRESS,
        "The URL that is asked, with gateway_key, what became of a part with an unknown outcome. "
        "Unset: such messages wait for a person.",
    )
    concurrency: int = _option(5, whole(1, 1000), "How many messages a worker has in flight at most.")
    adaptive_concurrency: bool = _option(
        True, YES_OR_NO, "Whether rate limits lower, for a while, how many calls a worker makes to a model at once."
    )
    batch_size: int = _option(15, whole(1, 500), "How many messages a one-shot run claims at most.")
    generate_timeout: float = _option(
        30.0, seconds(_MOMENT, _HOUR), "Seconds that one call to write a message may take."
    )
    split_timeout: float = _option(20.0, seconds(_MOMENT, _HOUR), "Seconds that one call to split a message may take.")
    send_timeout: float = _option(10.0, seconds(_MOMENT, _HOUR), "Seconds that sending one part may take.")
    compute_timeout: float = _option(
        30.0, seconds(_MOMENT, _HOUR), "Seconds for writing and splitting one message, with the retries of both."
    )
    deadline: float = _option(55.0, seconds(0, _DAY), "Seconds after which a one-shot run stops; 0 for no deadline.")
    drain_timeout: float = _option(
        20.0,
        seconds(0, _HOUR),
        "Seconds that a worker asked to stop has to finish the parts under way; keep it below the supervisor's.",
    )
    lease: float = _option(
        30.0, seconds(_MOMENT, _HOUR), "Seconds without a heartbeat after which a worker's claims are rescued."
    )
    heartbeat_interval: float = _option(
        10.0, seconds(_MOMENT, _HOUR), "Seconds between a worker's heartbeats; less than half of lease."
    )
    poll_interval: float = _option(
        10.0, seconds(_MOMENT, _HOUR), "Seconds between looks for due messages while there are none."
    )
    skip_after: float = _option(
        _HOUR, seconds(1, _YEAR), "Seconds after its due time that a pending message is skipped as too old."
    )
    retention_days: int | None = _option(
        None,
        whole(1, 36_500),
        "Days after which the messages and the log of a run that is over are removed. Unset: they are kept.",
    )
    default_region: str = _option("BR", REGION, "The region of telephone numbers without country code (ISO 3166-1).")
    screening_off: tuple[ScreeningRule, ...] = _option(
        (),
        each(SCREENING_RULE),
        "The rules of screening that generated texts are not held to; docs/screening.md tells what each finds.",
    )
    log_level: LogLevel = _option(LogLevel.INFO, one_of(LogLevel), "The least severe log line that is written.")
    log_format: LogFormat = _option(
        LogFormat.AUTO, one_of(LogFormat), "How log lines are written; auto is console on a terminal, else json."
    )

    @property
    def daily_limits(self) -> Limits:
        """The budget of each day."""
        return Limits(self.max_tokens_per_day, self.max_cost_per_day)

    @property
    def served_schemas(self) -> tuple[str, ...]:
        """The schemas whose messages a worker sends."""
        return self.schemas or (self.schema,)

    def __attrs_post_init__(self) -> None:
        if problem := clash(self.heartbeat_interval, self.lease, {}):
            raise SettingsError(problem)


def clash(heartbeat_interval: float, lease: float, named: Mapping[str, str]) -> str | None:
    """What is wrong with two settings together, or None.

    One heartbeat may be late or lost without a living worker's claims being rescued, so two must fit the lease.
    `named` says what the user calls the settings.
    """
    if heartbeat_interval * 2 < lease:
        return None
    return (
        f"{named.get('heartbeat_interval', 'heartbeat_interval')} is {plain_number(heartbeat_interval)}: "
        f"allowed is less than half of {named.get('lease', 'lease')}, which is {plain_number(lease)}"
    )


@attrs.frozen
class Setting:
    """What there is to know of one setting, whatever its value.

    Attributes:
        name: The name in trioqueue.toml and of the attribute of `Settings`.
        variable: The environment variable.
        kind: The type that a value is converted to.
        rule: What is allowed.
        help: What it means, with its unit.
        default: The default; an `attrs.Factory` when it depends on the machine.
        secret: Whether the value is never shown, and comes from the environment alone.
    """

    name: str
    variable: str
    kind: Any
    rule: Rule
    help: str
    default: object
    secret: bool

    @property
    def file_variable(self) -> str:
        """The environment variable that names a file with the value; for secrets only."""
        return f"{self.variable}_FILE"

    @property
    def flag(self) -> str:
        """The flag of the command line."""
        return f"--{self.name.replace('_', '-')}"

    def allows(self, value: object) -> bool:
        """Whether a converted value is allowed."""
        if value is None:
            return self.default is None or isinstance(self.default, attrs.Factory)  # type: ignore[arg-type]
        if isinstance(value, ts.Secret):
            return self.secret and self.rule.holds(value.get_secret_value())
        return not self.secret and self.rule.holds(value)

    def refusal(self, named: str, value: object) -> str:
        """The sentence that refuses a value, by the name that the user gave the setting."""
        return f"{named} is {SECRET_REPR if self.secret else repeat_refused(value)}: allowed is {self.rule.words}"

    def shown(self, value: object) -> str | None:
        """A value as text that may be printed and logged; None for unset."""
        if value is None:
            return None
        if isinstance(value, ts.Secret):
            return mask_database_url(value.get_secret_value()) if self.rule is DATABASE else SECRET_REPR
        if isinstance(value, tuple):
            return ",".join(value)
        if isinstance(value, bool):
            return str(value).lower()
        return plain_number(value) if isinstance(value, float) else str(value)


def _setting(field: "attrs.Attribute[Any]") -> Setting:
    # The one variable that is not ours to name: every program that talks to OpenRouter reads it.
    variable = "OPENROUTER_API_KEY" if field.name == "openrouter_api_key" else PREFIX + field.name.upper()
    help_text = field.metadata[METADATA_KEY]["help"]
    secret = isinstance(field.repr, SecretRepr)
    return Setting(field.name, variable, field.type, field.metadata[_RULE], help_text, field.default, secret)


SETTINGS: Final[Mapping[str, Setting]] = MappingProxyType(
    {field.name: _setting(field) for field in attrs.fields(Settings)}
)
"""Every setting, by name, in the order of `Settings`."""
