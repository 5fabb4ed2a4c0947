"""Where settings come from and what is allowed; their secrets are in test_settings_secrets.py."""

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typed_settings import Secret

from trioqueue.bootstrap import open_database
from trioqueue.domain.budgets import BUDGET_WORDS, Limits
from trioqueue.domain.screening import ScreeningRule
from trioqueue.settings import (
    DEFAULT,
    SETTINGS,
    LogFormat,
    LogLevel,
    Settings,
    SettingsError,
    load_settings,
)

NOWHERE = Path("no-such-directory")
SECRET = "hunter2hunter2"


def load(environ: Mapping[str, str], **overrides: object) -> Settings:
    """The settings of an environment and of flags, without a file."""
    return load_settings(overrides, environ, NOWHERE).settings


def problems(environ: Mapping[str, str], directory: Path = NOWHERE, **overrides: object) -> tuple[str, ...]:
    """What is wrong with them."""
    with pytest.raises(SettingsError) as caught:
        load_settings(overrides, environ, directory)
    return caught.value.problems


def test_defaults() -> None:
    """The numbers are those of the requirements R1 to R3, R6 and of the shutdown."""
    settings = load({})

    assert (settings.concurrency, settings.batch_size) == (5, 15)
    assert (settings.generate_timeout, settings.split_timeout, settings.send_timeout) == (30, 20, 10)
    assert (settings.compute_timeout, settings.deadline, settings.drain_timeout) == (30, 55, 20)
    assert (settings.lease, settings.heartbeat_interval, settings.poll_interval) == (30, 10, 10)
    assert settings.skip_after == 3600
    assert settings.openrouter_url == "https://openrouter.ai/api/v1"
    assert (settings.database_url, settings.openrouter_api_key, settings.gateway_key) == (None, None, None)
    assert settings.data_dir is not None
    assert settings.schema == settings.data_dir.name == "trioqueue"
    assert settings.default_region == "BR"


async def test_an_account_without_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the embedded database needs a directory; without one, it is the first that says what to set."""

    def no_home(*_: object, **__: object) -> Path:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr("platformdirs.user_data_path", no_home)
    settings = load({})

    assert settings.data_dir is None
    with pytest.raises(SettingsError, match=r"set TRIOQUEUE_DATABASE_URL .* or TRIOQUEUE_DATA_DIR"):
        async with open_database(settings):
            pass


def test_a_flag_wins_over_the_environment_over_the_file_over_the_default(tmp_path: Path) -> None:
    """Each layer hides the ones below it, and the source of every setting is known."""
    file = tmp_path / "trioqueue.toml"
    file.write_text("concurrency = 10\nbatch_size = 10\nlease = 100\n")
    environ = {"TRIOQUEUE_CONCURRENCY": "20", "TRIOQUEUE_BATCH_SIZE": "20"}

    loaded = load_settings({"concurrency": 30, "batch_size": None}, environ, tmp_path)

    assert loaded.settings == attrs.evolve(Settings(), concurrency=30, batch_size=20, lease=100.0)
    assert {name: source for name, source in loaded.sources.items() if source != DEFAULT} == {
        "concurrency": "--concurrency",
        "batch_size": "TRIOQUEUE_BATCH_SIZE",
        "lease": str(file),
    }


def test_every_kind_of_value_is_read_from_the_environment() -> None:
    """Text becomes numbers, booleans, paths and members of enumerations; surrounding white space does not matter."""
    settings = load(
        {
            "TRIOQUEUE_LISTEN": "off",
            "TRIOQUEUE_GATEWAY_IDEMPOTENT": " True ",
            "TRIOQUEUE_CONCURRENCY": "1000",
            "TRIOQUEUE_SEND_TIMEOUT": "0.5",
            "TRIOQUEUE_PG_BIN": "/usr/lib/postgresql/16/bin",
            "TRIOQUEUE_LOG_LEVEL": "WARNING",
            "TRIOQUEUE_LOG_FORMAT": "json",
            "TRIOQUEUE_GATEWAY_URL": "http://gateway:8080/send",
            "TRIOQUEUE_MAX_COST_PER_DAY": "0.10",
            "TRIOQUEUE_MAX_TOKENS_PER_DAY": "1000000",
        }
    )

    assert (settings.listen, settings.gateway_idempotent) == (False, True)
    assert (settings.concurrency, settings.send_timeout) == (1000, 0.5)
    assert settings.pg_bin == Path("/usr/lib/postgresql/16/bin")
    assert (settings.log_level, settings.log_format) == (LogLevel.WARNING, LogFormat.JSON)
    assert settings.gateway_url == "http://gateway:8080/send"
    assert settings.daily_limits == Limits(1_000_000, Decimal("0.1"))


def test_every_kind_of_value_is_read_from_the_file(tmp_path: Path) -> None:
    """TOML's own types are taken as they are, and whole seconds for seconds."""
    file = tmp_path / "trioqueue.toml"
    file.write_bytes(
        b'\xef\xbb\xbflisten = false\nconcurrency = 7\nsend_timeout = 9\nlog_level = "error"\npg_bin = "/opt/pg"\n'
        b"max_cost_per_day = 0.1\n"
    )

    settings = load_settings({}, {}, tmp_path).settings

    assert (settings.listen, settings.concurrency, settings.send_timeout) == (False, 7, 9.0)
    assert (settings.log_level, settings.pg_bin) == (LogLevel.ERROR, Path("/opt/pg"))
    assert settings.max_cost_per_day == Decimal("0.1")


def test_an_empty_variable_is_as_good_as_none() -> None:
    """A variable that is set to nothing, as compose files do with what is unset outside, sets nothing."""
    loaded = load_settings({}, dict.fromkeys([s.variable for s in SETTINGS.values()], " "), NOWHERE)

    assert loaded.settings == Settings()
    assert set(loaded.sources.values()) == {DEFAULT}


def test_relative_paths_start_where_they_are_written(tmp_path: Path) -> None:
    """A path in the settings file is relative to the file, one in a variable to the working directory."""
    file = tmp_path / "etc" / "queue.toml"
    file.parent.mkdir()
    file.write_text('data_dir = "data"\n')

    settings = load_settings(
        {}, {"TRIOQUEUE_CONFIG": "etc/queue.toml", "TRIOQUEUE_PG_BIN": "pg/bin"}, tmp_path
    ).settings

    assert settings.data_dir == tmp_path / "etc" / "data"
    assert settings.pg_bin == tmp_path / "pg" / "bin"


def test_a_tilde_is_the_home_directory() -> None:
    """A path that no shell has seen may start with ~."""
    settings = load({"TRIOQUEUE_DATA_DIR": "~/queue"})

    assert settings.data_dir == Path.home() / "queue"


def test_an_end_slash_of_the_base_url_does_not_matter() -> None:
    """What is appended to the base URL does not get a second slash."""
    settings = load({"TRIOQUEUE_OPENROUTER_URL": "http://localhost:8080/v1/"})

    assert settings.openrouter_url == "http://localhost:8080/v1"


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("concurrency", "0", "a whole number from 1 to 1000"),
        ("concurrency", "1001", "a whole number from 1 to 1000"),
        ("concurrency", "2.5", "a whole number from 1 to 1000"),
        ("concurrency", "five", "a whole number from 1 to 1000"),
        ("concurrency", "9" * 5000, "a whole number from 1 to 1000"),
        ("batch_size", "501", "a whole number from 1 to 500"),
        ("pool_size", "-1", "a whole number from 1 to 100"),
        ("send_timeout", "0", "a number of seconds from 0.01 to 3600"),
        ("send_timeout", "nan", "a number of seconds from 0.01 to 3600"),
        ("send_timeout", "10s", "a number of seconds from 0.01 to 3600"),
        ("deadline", "inf", "a number of seconds from 0 to 86400"),
        *(
            ("max_cost_per_day", value, BUDGET_WORDS)
            for value in ("0", "-1", "NaN", "sNaN", "inf", "1e99", "$5", "5,00")
        ),
        *(("max_tokens_per_day", value, "a whole number from 1 to") for value in ("0", "-1", "NaN", "1.5", "1e6")),
        ("listen", "maybe", "true or false"),
        ("log_level", "loud", "one of debug, info, warning, error"),
        ("log_format", "xml", "one of auto, json, console"),
        ("default_region", "br", "a region's two letters in capitals, such as BR"),
        ("default_region", "XX", "a region's two letters in capitals, such as BR"),
        ("schema", "public; drop", "a name of at most 63 lower-case letters"),
        ("schema", "a" * 64, "a name of at most 63 lower-case letters"),
        ("schema", "pg_queue", "a name of at most 63 lower-case letters"),
        ("openrouter_url", "openrouter.ai/api/v1", "an http:// or https:// URL"),
        ("openrouter_url", "https://", "an http:// or https:// URL"),
        ("gateway_url", "https://host:99999/", "an http:// or https:// URL"),
        ("gateway_url", "https://[::1/", "an http:// or https:// URL"),
        ("gateway_url", "ftp://host/", "an http:// or https:// URL"),
        ("data_dir", "~no-such-user/data", "a path"),
    ],
)
def test_a_bad_value_is_named_repeated_and_explained(name: str, value: str, allowed: str) -> None:
    """An error names the variable, repeats the value and says what is allowed."""
    variable = f"TRIOQUEUE_{name.upper()}"

    [problem] = problems({variable: value})

    assert problem.startswith(f"{variable} is {repr(value)[:190]}")
    assert f": allowed is {allowed}" in problem


@pytest.mark.parametrize(
    "line",
    [
        "concurrency = 5.0",
        "concurrency = true",
        "concurrency = [5]",
        "lease = true",
        "lease = 1979-05-27",
        "lease = {seconds = 30}",
        f"lease = 1{'0' * 400}",
        "schema = 5",
        "data_dir = 5",
        'data_dir = "a\\u0000b"',
        "max_cost_per_day = true",
        "max_cost_per_day = nan",
        "max_cost_per_day = [5]",
        "listen = 2",
        "log_level = 3",
        'default_region = ["BR"]',
    ],
)
def test_a_value_of_the_wrong_type_in_the_file(tmp_path: Path, line: str) -> None:
    """The file's types are not bent: what is no whole number, seconds, text or path is refused by name and file."""
    file = tmp_path / "trioqueue.toml"
    file.write_text(line)

    [problem] = problems({}, tmp_path)

    assert problem.startswith(f"{line.split(' ')[0]} in {file} is ")
    assert ": allowed is " in problem


def test_a_bad_flag_is_named_as_a_flag() -> None:
    """An error of a flag names the flag."""
    [problem] = problems({}, batch_size=0)

    assert problem == "--batch-size is 0: allowed is a whole number from 1 to 500"


def test_a_hidden_value_is_not_judged() -> None:
    """A value that another layer hides does no harm."""
    assert load({"TRIOQUEUE_CONCURRENCY": "many"}, concurrency=3).concurrency == 3


def test_problems_are_reported_together(tmp_path: Path) -> None:
    """Every wrong value and name is told at once, one a line."""
    (tmp_path / "trioqueue.toml").write_text("lease = -1\nheartbeat = 5\n")

    found = problems({"TRIOQUEUE_LISTEN": "perhaps", "TRIOQUEUE_SPEED": "9"}, tmp_path, batch_size=0, pace=1)

    assert len(found) == 6
    assert str(SettingsError(*found)).splitlines() == list(found)


@pytest.mark.parametrize(
    ("variable", "nearest"),
    [
        ("TRIOQUEUE_CONCURENCY", "did you mean TRIOQUEUE_CONCURRENCY?"),
        ("TRIOQUEUE_DATABASE_URI", "did you mean TRIOQUEUE_DATABASE_URL?"),
        ("TRIOQUEUE_OPENROUTER_API_KEY", "did you mean OPENROUTER_API_KEY?"),
        ("TRIOQUEUE_GATEWAY_URL_FILE", "did you mean TRIOQUEUE_GATEWAY_"),
        ("TRIOQUEUE_LEASE_FILE", "did you mean TRIOQUEUE_LEASE?"),
        ("TRIOQUEUE_", "there are: OPENROUTER_API_KEY, "),
        ("TRIOQUEUE_XYZZY_PLUGH", "TRIOQUEUE_CONFIG, TRIOQUEUE_DATABASE_URL, TRIOQUEUE_DATABASE_URL_FILE, "),
    ],
)
def test_an_unknown_variable_is_refused(variable: str, nearest: str) -> None:
    """A misspelt variable is an error with the nearest known name, never a setting that silently does nothing."""
    [problem] = problems({variable: SECRET})

    assert problem.startswith(f"{variable} is not a setting; ")
    assert nearest in problem
    assert SECRET not in problem


def test_variables_that_are_not_settings() -> None:
    """The variables of other programs and of the test suite are left alone."""
    environ = {"PATH": "/bin", "OPENROUTER_URL": "x", "TRIOQUEUE_TEST_DATABASE_URL": "x", "trioqueue_x": "x"}

    assert load(environ) == Settings()


@pytest.mark.parametrize(("key", "nearest"), [("batch-size", "batch_size"), ("concurency", "concurrency")])
def test_an_unknown_key_in_the_file_is_refused(tmp_path: Path, key: str, nearest: str) -> None:
    """A misspelt key is an error with the nearest known name and the file."""
    (tmp_path / "trioqueue.toml").write_text(f"{key} = 5\n")

    assert problems({}, tmp_path) == (
        f"{key} in {tmp_path / 'trioqueue.toml'} is not a setting; did you mean {nearest}?",
    )


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"lease = \n", "is not valid TOML: Invalid value (at line 1"),
        (b"lease = 1" + b"0" * 5000, "is not valid TOML"),
        (b"lease = " + b"[" * 5000, "is not valid TOML"),
        (b'schema = "\xe9"\n', "is not UTF-8"),
    ],
)
def test_a_broken_file(tmp_path: Path, content: bytes, problem: str) -> None:
    """A file that is not TOML or not UTF-8 is named with what is wrong with it."""
    file = tmp_path / "trioqueue.toml"
    file.write_bytes(content)

    [found] = problems({}, tmp_path)

    assert found.startswith(f"{file} {problem}")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    """A directory in the file's place is told as what it is."""
    (tmp_path / "trioqueue.toml").mkdir()

    assert problems({}, tmp_path) == (f"{tmp_path / 'trioqueue.toml'} cannot be read: Is a directory",)


def test_a_file_that_was_asked_for_must_exist(tmp_path: Path) -> None:
    """Only the file with the usual name may be missing; it is not read when another one is named."""
    (tmp_path / "trioqueue.toml").write_text("concurrency = 9\n")
    missing = tmp_path / "other.toml"

    assert problems({"TRIOQUEUE_CONFIG": str(missing)}, tmp_path) == (
        f"TRIOQUEUE_CONFIG names {missing}, which does not exist",
    )


def test_two_heartbeats_fit_the_lease(tmp_path: Path) -> None:
    """A heartbeat interval of half the lease or more is refused, with where both values come from."""
    (tmp_path / "trioqueue.toml").write_text("lease = 20\n")

    assert load({"TRIOQUEUE_LEASE": "60", "TRIOQUEUE_HEARTBEAT_INTERVAL": "29.9"}).heartbeat_interval == 29.9
    [problem] = problems({"TRIOQUEUE_HEARTBEAT_INTERVAL": "10"}, tmp_path)
    lease = f"lease in {tmp_path / 'trioqueue.toml'}"
    assert problem == f"TRIOQUEUE_HEARTBEAT_INTERVAL is 10: allowed is less than half of {lease}, which is 20"


@pytest.mark.parametrize(
    "values",
    [
        {"concurrency": 0},
        {"concurrency": True},
        {"concurrency": None},
        {"lease": "30"},
        {"lease": 15.0},
        {"data_dir": "/data"},
        {"gateway_key": SECRET},
        {"gateway_key": Secret("two words")},
        {"schema": Secret("trioqueue")},
    ],
)
def test_settings_made_by_a_program_keep_the_same_rules(values: dict[str, Any]) -> None:
    """The class refuses what the loader refuses, so that any Settings is a good one."""
    with pytest.raises(SettingsError, match=": allowed is ") as caught:
        Settings(**values)

    assert SECRET not in str(caught.value)


@given(
    st.dictionaries(
        st.sampled_from([s.variable for s in SETTINGS.values()]), st.text() | st.from_regex(r"\A-?\d*\.?\d*\Z")
    )
)
def test_any_environment_is_read_or_refused(environ: dict[str, str]) -> None:
    """Whatever the variables hold, the answer is settings or a SettingsError."""
    named = list(environ)
    try:
        load(environ)
    except SettingsError as error:
        named = [problem.split(" ")[0] for problem in error.problems]

    assert set(named) <= {*environ, "heartbeat_interval"}


def test_what_is_printed() -> None:
    """Every setting is printed once, in order, as one would write it, with its source."""
    loaded = load_settings({"lease": 45}, {"TRIOQUEUE_LISTEN": "0", "TRIOQUEUE_POLL_INTERVAL": "2.5"}, NOWHERE)

    shown = {line.name: (line.value, line.source) for line in loaded.shown()}
    assert list(shown) == [field.name for field in attrs.fields(Settings)]
    assert shown["database_url"] == (None, "default")
    assert shown["listen"] == ("false", "TRIOQUEUE_LISTEN")
    assert shown["lease"] == ("45", "--lease")
    assert shown["poll_interval"] == ("2.5", "TRIOQUEUE_POLL_INTERVAL")
    assert shown["log_level"] == ("info", "default")


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=lambda setting: setting.name)
def test_every_setting_is_explained(setting: Any) -> None:
    """Each setting says what it means, in a sentence with its unit, and what is allowed."""
    assert setting.help.endswith(".")
    assert setting.rule.words
    assert ("Seconds" in setting.help) == (setting.kind is float)


def test_rules_of_screening_are_named() -> None:
    """Rules that are off are a list of names; another name is refused with those that there are."""
    assert load({"TRIOQUEUE_SCREENING_OFF": "link, PIX-key"}).screening_off == (
        ScreeningRule.LINK,
        ScreeningRule.PIX_KEY,
    )

    [problem] = problems({"TRIOQUEUE_SCREENING_OFF": "link,links"})

    assert problem.startswith("TRIOQUEUE_SCREENING_OFF is 'link,links': allowed is any of placeholder, prompt-leak,")
