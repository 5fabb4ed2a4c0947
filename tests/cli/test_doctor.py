"""`trioqueue doctor`: each check, as a process, against a real server and the simulated world."""

import os
import re
import socket
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.postgres.test_least_privilege import ROLE, as_worker, grant
from tests.support.command import Command, Outcome
from tests.support.database import fetch, start_run
from tests.support.scripted_server import answering, http_answer, read_and_hang, refusing_port, scripted_server
from tests.support.unconfirmed import unconfirmed_run
from trioqueue.postgres.checkup import look_at_rights
from trioqueue.postgres.connect import connect
from trioqueue.postgres.migrations import schema_directory
from trioqueue.postgres.pool import Pool
from trioqueue.simulator import World

SECRETS = ("simulated-model-key", "simulated-gateway-key", "s3cret")


async def examine(command: Command, **changes: str | None) -> tuple[int, Mapping[str, dict[str, Any]]]:
    """The exit code, and the worst finding of each check; no secret is printed and nothing is on standard error."""
    outcome = await command("doctor", "--json", **changes)
    assert_discreet(outcome)
    order = ["ok", "warning", "failure"]
    found = sorted(outcome.json["findings"], key=lambda finding: order.index(finding["verdict"]))
    assert outcome.json["verdict"] == found[-1]["verdict"]
    return outcome.code, {finding["check"]: finding for finding in found}


def assert_discreet(outcome: Outcome) -> None:
    """Nothing of a secret is told, and no traceback."""
    assert outcome.err == ""
    for secret in SECRETS:
        assert secret not in outcome.out


def verdicts(found: Mapping[str, dict[str, Any]], verdict: str) -> set[str]:
    """The checks with a verdict."""
    return {check for check, finding in found.items() if finding["verdict"] == verdict}


async def test_all_is_well(command: Command, world: World, tmp_path: Path) -> None:
    """With an embedded database and the simulated world everything is good, nothing is sent, and nothing is changed."""
    variables = {"TRIOQUEUE_DATABASE_URL": None, "TRIOQUEUE_DATA_DIR": str(tmp_path / "data")}
    await command("migrate", **variables)
    code, found = await examine(command, **variables, TRIOQUEUE_GATEWAY_LOOKUP_URL=world.lookup_url)

    assert code == 0
    assert verdicts(found, "ok") == set(found)
    assert {"database", "schema", "rights", "latency", "model key", "models", "gateway", "lookup"} <= set(found)
    assert (list(world.calls), list(world.sends), list(world.deliveries), list(world.lookups)) == ([], [], [], [])


async def test_what_is_there_is_left_as_it_is(command: Command, world: World, pool: Pool) -> None:
    """No worker's row, no message and no run is touched, and no call and no send is made."""
    await start_run(pool, 3)
    everything = "select (select count(*) from workers), array(select m from campaign_messages m order by m.id)::text"
    before = await fetch(pool, everything)
    code, found = await examine(command)

    assert code == 0
    assert verdicts(found, "failure") == set()
    assert await fetch(pool, everything) == before
    assert (list(world.calls), list(world.sends)) == ([], [])


async def test_it_is_printed_for_people(command: Command) -> None:
    """Without --json there is a line a check, with what to do next, and the counts at the end."""
    with refusing_port() as port:
        outcome = await command("doctor", TRIOQUEUE_GATEWAY_URL=f"http://127.0.0.1:{port}/send")
    assert_discreet(outcome)
    lines = outcome.out.splitlines()

    assert outcome.code == 1
    assert any(line.startswith("failure  gateway") and "Connection refused" in line for line in lines)
    assert any(line.strip().startswith("-> check TRIOQUEUE_GATEWAY_URL") for line in lines)
    assert lines[-1].startswith("1 failure, ")
    assert "\x1b" not in outcome.out


async def test_bad_settings(command: Command) -> None:
    """Each bad setting is named as other commands name it; the exit code is theirs."""
    code, found = await examine(
        command, TRIOQUEUE_CONCURRENCY="0", TRIOQUEUE_DATABASE_URL="postgresql://u:s3cret@h:99999/d"
    )
    outcome = await command("doctor", TRIOQUEUE_CONCURRENCY="0", TRIOQUEUE_CONCURENCY="1")

    assert code == 2
    assert verdicts(found, "failure") == {"settings"}
    assert "machine" in found
    assert "TRIOQUEUE_CONCURRENCY is '0'" in outcome.out
    assert "TRIOQUEUE_CONCURENCY is not a setting" in outcome.out


async def test_missing_settings(command: Command) -> None:
    """What no worker starts without is missing; everything else is looked at all the same."""
    code, found = await examine(command, OPENROUTER_API_KEY=None, TRIOQUEUE_GATEWAY_URL=None)

    assert code == 2
    assert verdicts(found, "failure") == {"settings"}
    assert found["schema"]["verdict"] == "ok"
    assert {"model key", "models", "gateway"}.isdisjoint(found)


async def test_a_malformed_database_url(command: Command) -> None:
    """What only the driver can tell of a URL is a setting as well."""
    code, found = await examine(command, TRIOQUEUE_DATABASE_URL="postgresql://u:s3cret@h/d?nonsense=1")

    assert code == 2
    assert verdicts(found, "failure") == {"settings"}


async def test_a_database_that_is_away(command: Command) -> None:
    """An unreachable database fails its check alone."""
    code, found = await examine(command, TRIOQUEUE_DATABASE_URL="postgresql://someone:s3cret@127.0.0.1:1/crm")

    assert code == 1
    assert verdicts(found, "failure") == {"database"}
    assert "cannot connect" in found["database"]["found"]
    assert found["model key"]["verdict"] == "ok"


async def test_a_database_that_does_not_answer(command: Command) -> None:
    """A server that takes connections and says nothing is given up."""
    with closing(socket.socket()) as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"postgresql://someone:s3cret@127.0.0.1:{silent.getsockname()[1]}/crm?connect_timeout=2"
        code, found = await examine(command, TRIOQUEUE_DATABASE_URL=url)

    assert code == 1
    assert verdicts(found, "failure") == {"database"}


async def test_a_schema_that_was_never_migrated(command: Command, database_url: str) -> None:
    """It is not migrated by a look at it."""
    code, found = await examine(command, TRIOQUEUE_DATABASE_URL=database_url)
    again = await examine(command, TRIOQUEUE_DATABASE_URL=database_url)

    assert code == 1
    assert verdicts(found, "failure") == verdicts(again[1], "failure") == {"schema"}
    assert "empty" in found["schema"]["found"]
    assert "trioqueue migrate" in found["schema"]["advice"]


async def test_an_old_schema(command: Command, pool: Pool) -> None:
    """A schema of an earlier version fails, with the command that helps."""
    await fetch(pool, "delete from schema_migrations where version = (select max(version) from schema_migrations)")
    code, found = await examine(command)

    assert code == 1
    assert verdicts(found, "failure") == {"schema"}
    assert "must be at" in found["schema"]["found"]


async def test_no_embedded_database_yet(command: Command, tmp_path: Path) -> None:
    """Where there is none, none is made."""
    data = tmp_path / "data"
    code, found = await examine(command, TRIOQUEUE_DATABASE_URL=None, TRIOQUEUE_DATA_DIR=str(data))

    assert code == 1
    assert verdicts(found, "failure") == {"database"}
    assert "trioqueue migrate" in found["database"]["advice"]
    assert not data.exists()


async def test_the_role_of_least_privilege(command: Command, pool: Pool, migrated_url: str) -> None:
    """The role that `migrate --worker-role` makes can do all that a worker does, and is no superuser."""
    await grant(pool)
    code, found = await examine(command, TRIOQUEUE_DATABASE_URL=as_worker(migrated_url))

    assert code == 0
    assert (found["rights"]["verdict"], found["role"]["verdict"]) == ("ok", "ok")
    assert ROLE in found["role"]["found"]


@pytest.mark.parametrize(
    ("revoked", "lacking"),
    [
        ("select on leads", "select on leads"),
        ("update on campaign_messages", "update on campaign_messages"),
        ("insert on campaign_logs", "insert on campaign_logs"),
        ("delete on workers", "delete on workers"),
        ("usage on all sequences in schema trioqueue", "usage on sequence"),
        ("usage on schema trioqueue", "usage on schema trioqueue"),
    ],
)
async def test_a_role_without_a_right(
    command: Command, pool: Pool, migrated_url: str, revoked: str, lacking: str
) -> None:
    """What the role lacks is named."""
    await grant(pool)
    await fetch(pool, f"revoke {revoked} from {ROLE}")
    code, found = await examine(command, TRIOQUEUE_DATABASE_URL=as_worker(migrated_url))

    assert code == 1
    assert verdicts(found, "failure") == {"rights"}
    assert lacking in found["rights"]["found"]


async def test_a_role_without_functions(command: Command, pool: Pool, migrated_url: str) -> None:
    """A function that the role may not execute is named."""
    await grant(pool)
    function = "rescue_campaign_messages"
    await fetch(pool, f"revoke execute on function {function} from public, {ROLE}")
    code, found = await examine(command, TRIOQUEUE_DATABASE_URL=as_worker(migrated_url))

    assert code == 1
    assert f"execute on function {function}" in found["rights"]["found"]


async def test_every_right_is_asked_for(command: Command, pool: Pool, migrated_url: str) -> None:
    """A role that may only look about lacks each right that schema/worker_role.sql grants on a table."""
    await grant(pool)
    script = (schema_directory() / "worker_role.sql").read_text(encoding="utf-8")
    granted = {
        f"{privilege} on {table}"
        for privilege, tables in re.findall(r"grant (update|insert|delete) on(.*?)to ", script, re.DOTALL)
        for table in re.findall(r"\{schema\}\.(\w+)", tables)
    }
    await fetch(pool, f"revoke all on all tables in schema trioqueue from {ROLE}")
    async with await connect(as_worker(migrated_url)) as connection:
        missing = set(await look_at_rights(connection, "trioqueue"))

    assert len(granted) == 17
    assert {right for right in missing if not right.startswith("select")} == granted


async def test_several_schemas(command: Command, pool: Pool) -> None:
    """Each schema that is served is looked at, and named."""
    await start_run(pool, 1)
    outcome = await command("doctor", TRIOQUEUE_SCHEMAS="trioqueue,second")

    assert outcome.code == 1
    assert "schema 'trioqueue': it is up to date" in outcome.out
    assert "schema 'second': the schema 'second' is empty" in outcome.out
    assert "schema 'trioqueue': messages are due and no worker is alive" in outcome.out


async def test_settings_of_a_server_that_loses_commits(command: Command, pool: Pool, migrated_url: str) -> None:
    """Commits that do not wait for the disk are a warning, and so is a superuser."""
    options = "options=-c%20synchronous_commit%3Doff"
    url = f"{migrated_url}{'&' if '?' in migrated_url else '?'}{options}"
    code, found = await examine(command, TRIOQUEUE_DATABASE_URL=url)

    assert code == 0
    assert {"durability", "role"} <= verdicts(found, "warning")
    assert "synchronous_commit is off" in found["durability"]["found"]


async def test_messages_that_nobody_sends(command: Command, pool: Pool) -> None:
    """Due messages without a worker are a warning; with one they are not, nor before they are due."""
    await start_run(pool, 1)
    _, alone = await examine(command)
    await fetch(pool, "update campaign_messages set scheduled_at = now() + interval '1 hour'")
    _, early = await examine(command)
    worker = "insert into workers (incarnation, host, pid, lease, beat_at) values (gen_random_uuid(), 'h', 1, '1 hour',"
    await fetch(pool, f"{worker} now()), (gen_random_uuid(), 'h', 2, '1 hour', now() - interval '2 hours')")
    await fetch(pool, "update campaign_messages set scheduled_at = now() - interval '1 minute'")
    _, served = await examine(command)

    assert [found["workers"]["verdict"] for found in (alone, early, served)] == ["warning", "ok", "ok"]
    assert served["workers"]["found"] == "1 worker alive"


async def test_hints_about_the_work(command: Command, pool: Pool) -> None:
    """A paused run, unconfirmed messages and a shut gate are warnings."""
    await unconfirmed_run(pool)
    paused = await start_run(pool, 1, first=10)
    await command("runs", "pause", paused.run_id)
    await fetch(
        pool,
        "insert into model_gates (account, model, cause, reason, shut_until)"
        " values ('a', 'some/model', 'rate_limit', 'slow \x1b[31mdown', now() + interval '1 minute')",
    )
    code, found = await examine(command)
    people = await command("doctor")

    assert code == 0
    assert {"runs", "unconfirmed", "gates"} <= verdicts(found, "warning")
    assert "paused by a person" in found["runs"]["found"]
    assert "\x1b" not in people.out


async def test_a_wrong_key(command: Command, world: World) -> None:
    """A key that the service does not know fails, and is not shown."""
    code, found = await examine(command, OPENROUTER_API_KEY="sk-or-s3cret")

    assert code == 1
    assert verdicts(found, "failure") == {"model key", "models"}
    assert "401" in found["model key"]["found"]
    assert list(world.calls) == []


async def test_a_model_that_does_not_exist(command: Command, pool: Pool) -> None:
    """A model that an open run names and the service does not list fails."""
    await start_run(pool, 1, model="some/mistake")
    code, found = await examine(command, TRIOQUEUE_FALLBACK_MODELS="some/model")

    assert code == 1
    assert verdicts(found, "failure") == {"models"}
    assert "some/mistake" in found["models"]["found"]


async def test_a_service_that_hangs(command: Command) -> None:
    """A service that never answers is given up after the time that a call may take."""
    async with scripted_server(read_and_hang) as server:
        code, found = await examine(
            command, TRIOQUEUE_OPENROUTER_URL=f"{server.url}/v1", TRIOQUEUE_GENERATE_TIMEOUT="0.2"
        )

    assert code == 1
    assert verdicts(found, "failure") == {"model key", "models"}
    assert "no whole answer within 0.2 s" in found["model key"]["found"]
    assert {request.split()[0] for request in server.requests} == {b"GET"}


async def test_a_service_of_another_make(command: Command, pool: Pool) -> None:
    """Without the path of the key, and with a list that need not be complete, there are warnings only."""
    await start_run(pool, 1)
    async with scripted_server(answering(http_answer(b'{"data": [{"id": "llama3:latest"}]}', 200))) as server:
        code, found = await examine(command, TRIOQUEUE_OPENROUTER_URL=f"{server.url}/v1")

    assert code == 0
    assert {"model key", "models"} <= verdicts(found, "warning")
    assert "could not be checked" in found["model key"]["found"]


async def test_a_gateway_that_is_down(command: Command) -> None:
    """A gateway where nothing listens fails its check alone."""
    with refusing_port() as port:
        code, found = await examine(command, TRIOQUEUE_GATEWAY_URL=f"http://127.0.0.1:{port}/send")

    assert code == 1
    assert verdicts(found, "failure") == {"gateway"}
    assert "Connection refused" in found["gateway"]["found"]


async def test_nothing_is_sent_to_the_gateway(command: Command) -> None:
    """The gateway is connected to, and gets no byte."""
    async with scripted_server(read_and_hang) as server:
        code, found = await examine(command, TRIOQUEUE_GATEWAY_URL=f"{server.url}/send")

    assert (code, found["gateway"]["verdict"]) == (0, "ok")
    assert (server.connections, server.requests) == (1, [])


async def test_a_gateway_behind_a_proxy(command: Command) -> None:
    """Through a proxy only the proxy is tried; its password is not shown."""
    async with scripted_server(read_and_hang) as server:
        proxy = f"http://someone:s3cret@127.0.0.1:{server.port}"
        code, found = await examine(command, TRIOQUEUE_GATEWAY_URL="https://gateway.example/send", HTTPS_PROXY=proxy)

    assert (code, found["gateway"]["verdict"]) == (0, "warning")
    assert server.requests == []


async def test_an_unusable_proxy(command: Command) -> None:
    """A proxy that cannot be used is a bad setting, as for a worker."""
    code, found = await examine(
        command, TRIOQUEUE_GATEWAY_URL="https://gateway.example/send", HTTPS_PROXY="nonsense://s3cret@x"
    )

    assert code == 2
    assert verdicts(found, "failure") == {"settings"}


async def test_secrets_that_others_may_read(command: Command, world: World, tmp_path: Path) -> None:
    """A file with a key that others may read is a warning, and so is a key that travels in clear."""
    kept, open_to_all = tmp_path / "kept", tmp_path / "open"
    for path, mode in ((kept, 0o600), (open_to_all, 0o644)):
        path.write_text(world.model_key)
        os.chmod(path, mode)  # noqa: PTH101 - so that both read alike
    named = {"OPENROUTER_API_KEY": None, "TRIOQUEUE_GATEWAY_LOOKUP_URL": "http://gateway.invalid/x"}
    _, good = await examine(command, OPENROUTER_API_KEY=None, OPENROUTER_API_KEY_FILE=str(kept))
    _, bad = await examine(command, **named, OPENROUTER_API_KEY_FILE=str(open_to_all))
    outcome = await command("doctor", **named, OPENROUTER_API_KEY_FILE=str(open_to_all))

    assert good["secrets"]["verdict"] == "ok"
    assert bad["secrets"]["verdict"] == "warning"
    assert "which others than its owner may read (mode 0644)" in outcome.out
    assert "TRIOQUEUE_GATEWAY_LOOKUP_URL is an http:// address at gateway.invalid" in outcome.out
    assert (good["model key"]["verdict"], bad["lookup"]["verdict"]) == ("ok", "failure")
