"""Where the secrets among the settings come from, and that none is ever shown."""

import traceback
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trioqueue.settings import SETTINGS, SettingsError, load_settings, mask_database_url

NOWHERE = Path("no-such-directory")
SECRET = "hunter2hunter2"

SECRETS = [setting for setting in SETTINGS.values() if setting.secret]


def problems(environ: dict[str, str], directory: Path = NOWHERE, **overrides: object) -> tuple[str, ...]:
    """What is wrong with the settings of an environment, a directory and flags."""
    with pytest.raises(SettingsError) as caught:
        load_settings(overrides, environ, directory)
    return caught.value.problems


def value_of(setting_name: str) -> str:
    """A value of a secret that can be told in any text."""
    return f"postgresql://app:{SECRET}@db:5432/queue" if setting_name == "database_url" else SECRET


def test_the_variables_of_secrets() -> None:
    """There are three secrets; OpenRouter's key has the name that every program reads it by."""
    assert {setting.name: setting.variable for setting in SECRETS} == {
        "database_url": "TRIOQUEUE_DATABASE_URL",
        "openrouter_api_key": "OPENROUTER_API_KEY",
        "gateway_key": "TRIOQUEUE_GATEWAY_KEY",
    }


@pytest.mark.parametrize("setting", SECRETS, ids=lambda setting: setting.name)
def test_a_secret_is_read_and_never_shown(setting: Any) -> None:
    """A secret is there for the program that asks for it, and in no text of the settings."""
    loaded = load_settings({}, {setting.variable: value_of(setting.name)}, NOWHERE)

    texts = [repr(loaded), str(loaded), repr(loaded.settings), f"{loaded.settings}", repr(loaded.shown())]
    assert getattr(loaded.settings, setting.name).get_secret_value() == value_of(setting.name)
    assert not any(SECRET in text for text in texts)
    assert loaded.sources[setting.name] == setting.variable


@pytest.mark.parametrize("setting", SECRETS, ids=lambda setting: setting.name)
def test_a_secret_from_a_file(tmp_path: Path, setting: Any) -> None:
    """A secret may stand in a file that the environment names, as systemd hands over credentials."""
    file = tmp_path / "credential"
    file.write_text(f"\n{value_of(setting.name)}\r\n")

    loaded = load_settings({}, {f"{setting.variable}_FILE": "credential"}, tmp_path)

    assert getattr(loaded.settings, setting.name).get_secret_value() == value_of(setting.name)
    assert loaded.sources[setting.name] == f"{setting.variable}_FILE ({file})"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "which cannot be read: No such file or directory"),
        (b"\xff" + SECRET.encode(), "which is not UTF-8"),
        (b" \n", "is *******: allowed is 1 to 4096 printable ASCII characters"),
        (SECRET.encode() + b"\n" + SECRET.encode(), "is *******: allowed is 1 to 4096 printable ASCII characters"),
    ],
)
def test_a_secret_file_that_cannot_be_used(tmp_path: Path, content: bytes | None, problem: str) -> None:
    """A file of a secret that is missing, no text, empty or of two lines is refused without a word of its content."""
    file = tmp_path / "credential"
    if content is not None:
        file.write_bytes(content)

    [found] = problems({"TRIOQUEUE_GATEWAY_KEY_FILE": str(file)})

    assert "TRIOQUEUE_GATEWAY_KEY_FILE" in found
    assert str(file) in found
    assert problem in found
    assert SECRET not in found


def test_a_secret_given_twice(tmp_path: Path) -> None:
    """A secret and a file of it contradict each other; neither is guessed at."""
    assert problems({"OPENROUTER_API_KEY": SECRET, "OPENROUTER_API_KEY_FILE": str(tmp_path)}) == (
        "OPENROUTER_API_KEY and OPENROUTER_API_KEY_FILE are both set; unset one of them",
    )


@pytest.mark.parametrize("setting", SECRETS, ids=lambda setting: setting.name)
def test_a_secret_in_the_settings_file_or_on_the_command_line(tmp_path: Path, setting: Any) -> None:
    """Secrets are refused where others can read them, with where they belong."""
    (tmp_path / "trioqueue.toml").write_text(f'{setting.name} = "{value_of(setting.name)}"\n')

    in_file, in_flag = problems({}, tmp_path, **{setting.name: value_of(setting.name)})

    assert f"set {setting.variable}, or {setting.variable}_FILE" in in_file
    assert f"set {setting.variable} instead" in in_flag
    assert SECRET not in in_file + in_flag


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("OPENROUTER_API_KEY", f"{SECRET} {SECRET}"),
        ("TRIOQUEUE_GATEWAY_KEY", f"{SECRET}\n{SECRET}"),
        ("TRIOQUEUE_GATEWAY_KEY", f"{SECRET}é"),
        ("TRIOQUEUE_DATABASE_URL", f"mysql://app:{SECRET}@db/queue"),
        ("TRIOQUEUE_DATABASE_URL", f"postgresql://app:{SECRET}"),
        ("TRIOQUEUE_DATABASE_URL", f"postgresql://app:{SECRET}/x@db/queue"),
        ("TRIOQUEUE_DATABASE_URL", f"postgresql://app:x@{SECRET}@db/queue"),
        ("TRIOQUEUE_DATABASE_URL", f"host=db password={SECRET}"),
        ("TRIOQUEUE_GATEWAY_URL", f"https://app:{SECRET}@gateway/send"),
        ("TRIOQUEUE_GATEWAY_URL", f"app:{SECRET}@gateway/send"),
        ("TRIOQUEUE_GATEWAY_URL", f"https://gateway/send?token={SECRET}"),
        ("TRIOQUEUE_OPENROUTER_URL", f"http://{SECRET}@localhost/"),
    ],
)
def test_a_refused_secret_is_not_repeated(variable: str, value: str) -> None:
    """An error about a secret, or about an address with one in it, holds it neither in its text nor its causes."""
    with pytest.raises(SettingsError, match=rf"^{variable} is .*: allowed is ") as caught:
        load_settings({}, {variable: value}, NOWHERE)

    assert SECRET not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://db/queue", "postgresql://db/queue"),
        ("postgres://app@db:5432/queue", "postgres://app@db:5432/queue"),
        ("postgresql://app:x%40y@db/queue", "postgresql://app:*******@db/queue"),
        ("postgresql://app:@db/queue", "postgresql://app:*******@db/queue"),
        ("postgresql://:x@db", "postgresql://:*******@db"),
        ("postgresql://app:a:b?c=d@[::1]:5433/q", "postgresql://app:*******@[::1]:5433/q"),
        ("postgresql://app:x@a:1,b:2/q?connect_timeout=3", "postgresql://app:*******@a:1,b:2/q?connect_timeout=3"),
        ("postgresql:///q?host=/run/postgresql&user=app", "postgresql:///q?host=/run/postgresql&user=app"),
        ("postgresql://db/q?pass%77ord=x&user=a", "postgresql://db/q?pass%77ord=*******&user=a"),
        ("postgresql://db/q?sslmode=require&sslpassword=y", "postgresql://db/q?sslmode=require&sslpassword=*******"),
        ("host=db password=x", "*******"),
    ],
)
def test_the_database_is_shown_without_its_password(url: str, shown: str) -> None:
    """All of the database's address but the password is shown, so that an operator sees which one it is."""
    assert mask_database_url(url) == shown


@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=20))
@example("@?")
@example("@?a=")
@example("@h/q?user=")
def test_no_password_whatever_is_shown(password: str) -> None:
    """Whatever stands in a password's place, the address is masked or refused without it."""
    environ = {"TRIOQUEUE_DATABASE_URL": f"postgresql://app:{SECRET}{password}{SECRET}@db/queue"}
    try:
        shown = repr(load_settings({}, environ, NOWHERE).shown())
    except SettingsError as error:
        shown = str(error)

    assert "TRIOQUEUE_DATABASE_URL" in shown
    assert SECRET not in shown
