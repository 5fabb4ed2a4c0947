"""What goes wrong before any work: one clear line, the right exit code, and no secret."""

import os
from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.database import start_run
from trioqueue import __version__
from trioqueue.postgres.pool import Pool

RUN = "00000000-0000-0000-0000-000000000007"
NOTHING_LISTENS = "postgresql://someone:s3cret@127.0.0.1:1/crm"


async def test_help_names_every_command(command: Command) -> None:
    """Without arguments and with --help the commands are listed."""
    outcome = await command("--help")

    assert outcome.code == 0
    for name in ("demo", "migrate", "campaign", "run", "worker", "status", "settings", "simulator"):
        assert name in outcome.out


async def test_the_version(command: Command) -> None:
    """--version prints the version of the package."""
    assert (await command("--version")).out.strip() == __version__


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["run", "--nonsense"],
        ["run", "--concurrency", "many"],
        ["run", "--batch-size", "1.5"],
        ["worker", "--concurrency", "0x5"],
        ["demo", "--concurrency", "1.5"],
        ["simulator", "--model-faults", "3"],
        ["simulator", "--gateway-port", "65536"],
        ["campaign", "start"],
        ["status", "no-uuid"],
        ["runs", "resume", RUN, "--max-cost", "NaN"],
        ["runs", "resume", RUN, "--max-cost", "-1"],
        ["runs", "resume", RUN, "--max-cost", "five"],
        ["runs", "resume", RUN, "--max-tokens", "0"],
        ["runs", "resume", RUN, "--max-tokens", "1e6"],
    ],
    ids=" ".join,
)
async def test_bad_usage(command: Command, arguments: list[str]) -> None:
    """A command line that cannot be read is exit code 2, with the reason on standard error."""
    outcome = await command(*arguments)

    assert outcome.code == 2
    [line] = outcome.err.splitlines()
    assert line.startswith("trioqueue: ")


@pytest.mark.parametrize(
    "arguments",
    [["status"], ["status", "--json"], ["settings"], ["doctor"], ["--help"], ["run", "--help"], ["--version"]],
    ids=" ".join,
)
async def test_output_that_nobody_reads(command: Command, arguments: list[str]) -> None:
    """When the reader of a pipe has gone the command ends without a word, as others do."""
    reader, writer = os.pipe()
    os.close(reader)
    with open(writer, "wb") as gone:  # noqa: ASYNC230, PTH123 - it is open already
        outcome = await command.into(gone, *arguments)

    assert (outcome.code, outcome.err) == (141, "")


@pytest.mark.parametrize(
    "arguments", [["status"], ["status", "--json"], ["doctor", "--json"], ["--help"]], ids=" ".join
)
async def test_output_that_cannot_be_written(command: Command, arguments: list[str]) -> None:
    """A full disk under standard output is one line and exit code 1."""
    with open("/dev/full", "wb") as full:  # noqa: ASYNC230, PTH123 - a device
        outcome = await command.into(full, *arguments)

    assert outcome.code == 1
    assert outcome.err == "trioqueue: cannot write to standard output: No space left on device\n"


async def test_closed_streams(command: Command) -> None:
    """A command whose standard streams were closed by its caller works all the same."""
    outcome = await command.in_shell('"$0" status >&- && "$0" status 2>&-')

    assert (outcome.code, outcome.err) == (0, "")
    assert "no runs yet" in outcome.out


async def test_an_encoding_that_lacks_a_character(command: Command, pool: Pool) -> None:
    """What the encoding of standard output lacks is shown by its code, not as an error."""
    await start_run(pool, 1, name="Ação")
    outcome = await command("status", PYTHONIOENCODING="ascii")

    assert (outcome.code, outcome.err) == (0, "")
    assert "A\\xe7\\xe3o" in outcome.out


@pytest.mark.parametrize(
    ("arguments", "variables", "named"),
    [
        (["run", "--concurrency", "0"], {}, "--concurrency is 0"),
        (["run", "--deadline", "-1"], {}, "--deadline is -1"),
        (["run"], {"TRIOQUEUE_CONCURRENCY": "1001"}, "TRIOQUEUE_CONCURRENCY is"),
        (["run"], {"TRIOQUEUE_CONCURENCY": "5"}, "TRIOQUEUE_CONCURRENCY"),
        (["run"], {"TRIOQUEUE_GATEWAY_KEY": None}, "TRIOQUEUE_GATEWAY_KEY is not set"),
        (["worker"], {"OPENROUTER_API_KEY": None}, "OPENROUTER_API_KEY is not set"),
        (["worker"], {"OPENROUTER_API_KEY": "clé"}, "OPENROUTER_API_KEY is"),
        (["run"], {"HTTPS_PROXY": "nonsense://x", "TRIOQUEUE_GATEWAY_URL": "https://gateway.example/x"}, "proxy"),
        (["status"], {"TRIOQUEUE_DATABASE_URL": "nonsense"}, "TRIOQUEUE_DATABASE_URL"),
        (["status"], {"TRIOQUEUE_DATABASE_URL": "postgresql://u:p@h:99999/db"}, "TRIOQUEUE_DATABASE_URL"),
        (["migrate"], {"TRIOQUEUE_DATABASE_URL": "postgresql://u:p@h:abc/db"}, "TRIOQUEUE_DATABASE_URL"),
        (["run"], {"TRIOQUEUE_DATABASE_URL": "postgresql://u:p@h/db?port=0"}, "TRIOQUEUE_DATABASE_URL"),
    ],
)
async def test_bad_settings(
    command: Command, arguments: list[str], variables: dict[str, str | None], named: str
) -> None:
    """A bad or missing setting is exit code 2, named as the user wrote it."""
    outcome = await command(*arguments, **variables)

    assert outcome.code == 2
    assert named in outcome.err
    assert "Traceback" not in outcome.err


@pytest.mark.parametrize("arguments", [["migrate"], ["run"], ["worker"], ["status"]], ids=" ".join)
async def test_a_database_that_is_away(command: Command, arguments: list[str]) -> None:
    """An unreachable database is exit code 1 and one line, without the password."""
    outcome = await command(*arguments, TRIOQUEUE_DATABASE_URL=NOTHING_LISTENS)

    assert outcome.code == 1
    [line] = outcome.err.splitlines()
    assert line.startswith("trioqueue: cannot connect to the database")
    assert "s3cret" not in outcome.err


@pytest.mark.parametrize("arguments", [["run"], ["worker"], ["status"]], ids=" ".join)
async def test_a_schema_that_was_never_migrated(command: Command, database_url: str, arguments: list[str]) -> None:
    """A schema that is not up to date is exit code 1, with the command that helps."""
    outcome = await command(*arguments, TRIOQUEUE_DATABASE_URL=database_url)

    assert outcome.code == 1
    assert "run `trioqueue migrate`" in outcome.err


async def test_migrate(command: Command, database_url: str) -> None:
    """Migrating says what was applied, and the second time that nothing was left."""
    first = await command("migrate", TRIOQUEUE_DATABASE_URL=database_url)
    second = await command("migrate", TRIOQUEUE_DATABASE_URL=database_url)

    assert (first.code, second.code) == (0, 0)
    assert first.out.startswith("applied 0001_initial\n")
    assert second.out == "the schema 'trioqueue' is up to date\n"


async def test_migrate_several(command: Command, database_url: str) -> None:
    """All schemas that a worker would serve are migrated, and each is named."""
    outcome = await command("migrate", TRIOQUEUE_DATABASE_URL=database_url, TRIOQUEUE_SCHEMAS="north,south")
    again = await command("migrate", TRIOQUEUE_DATABASE_URL=database_url, TRIOQUEUE_SCHEMA="south")

    assert outcome.code == 0
    assert outcome.out.startswith("applied 0001_initial to the schema 'north'\n")
    assert "applied 0001_initial to the schema 'south'\n" in outcome.out
    assert again.out == "the schema 'south' is up to date\n"


async def test_settings_are_shown_with_their_sources(command: Command) -> None:
    """Each setting is printed with its value and source; secrets are masked."""
    (command.directory / "trioqueue.toml").write_text("batch_size = 7\n")
    outcome = await command("settings", TRIOQUEUE_CONCURRENCY="9", OPENROUTER_API_KEY="sk-or-very-secret")
    rows = {line.split()[0]: line.split()[1:] for line in outcome.out.splitlines() if line}

    assert outcome.code == 0
    assert rows["concurrency"] == ["9", "TRIOQUEUE_CONCURRENCY"]
    assert rows["batch_size"][0] == "7"
    assert rows["lease"] == ["30", "default"]
    assert "very-secret" not in outcome.out


async def test_an_embedded_database_needs_no_setting(command: Command, tmp_path: Path) -> None:
    """Without a database URL an embedded PostgreSQL keeps the data from one command to the next."""
    variables = {"TRIOQUEUE_DATABASE_URL": None, "TRIOQUEUE_DATA_DIR": str(tmp_path / "data")}
    migrated = await command("migrate", **variables)
    status = await command("status", **variables)

    assert (migrated.code, status.code) == (0, 0)
    assert "no runs yet" in status.out


async def test_the_demo(command: Command) -> None:
    """The demo sends its whole campaign, each part once, touches nothing of the user's, and says so."""
    outcome = await command("demo", "--concurrency", "40", TRIOQUEUE_DATABASE_URL=NOTHING_LISTENS)

    assert outcome.code == 0
    assert "40 of 40 sent; the run is completed" in outcome.out
    assert " 0 of them twice" in outcome.out
