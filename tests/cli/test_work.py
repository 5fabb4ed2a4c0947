"""`trioqueue campaign start`, `run`, `worker` and `status`, as processes."""

import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from uuid import UUID

import orjson
import trio

from tests.support.backends import until
from tests.support.command import PATIENCE, Command, Outcome
from tests.support.database import SCHEMA, fetch, start_run
from trioqueue.postgres.connect import connect
from trioqueue.postgres.folder import DataFolder
from trioqueue.postgres.pool import Pool
from trioqueue.simulator import GatewayFault, ModelFault, Rule, World, WorldSettings, simulated_world

WriteLeads = Callable[..., Path]


async def start_campaign(command: Command, leads: Path, *more: str) -> Outcome:
    """`campaign start` with what it needs."""
    instructions = leads.with_name("instructions.txt")
    instructions.write_text("Escreva com gentileza.", encoding="utf-8")
    files = ("--leads", leads, "--instructions", instructions)
    return await command("campaign", "start", "--name", "Outono", *files, "--model", "m/m", *more)


async def finished(process: object) -> tuple[int, str, str]:
    """Wait for a started process and return its exit code and what it printed."""
    with trio.fail_after(PATIENCE):
        out, err = await trio.to_thread.run_sync(process.communicate)  # type: ignore[attr-defined]
    return process.returncode, out.decode(), err.decode()  # type: ignore[attr-defined]


async def test_a_campaign_from_a_file_to_the_leads(
    command: Command, world: World, leads_file: WriteLeads, pool: Pool
) -> None:
    """Leads from a CSV are written to, each once, and the reports of run and status say so."""
    leads = leads_file(*(f"Lead {n},(11) 98765-43{n:02},São Paulo" for n in range(12)))
    started = await start_campaign(command, leads, "--max-parts", "2", "--json")
    ran = await command("run", "--drain", "--concurrency", "4", "--json")
    status = await command("status", started.json["run_id"], "--json")

    assert (started.code, ran.code, status.code) == (0, 0, 0)
    assert started.json["messages"] == 12
    assert set(ran.json) == {
        "claimed", "sent", "requeued", "snoozed", "released", "failed", "skipped", "unconfirmed", "parts_sent",
        "tokens_used", "duration_ms",
    }  # fmt: skip
    assert (ran.json["claimed"], ran.json["sent"], ran.json["failed"]) == (12, 12, 0)
    assert ran.json["parts_sent"] == len(world.deliveries) > 12
    assert (status.json["status"], status.json["leads_success"]) == ("completed", 12)
    assert status.json["tokens_used"] == ran.json["tokens_used"] > 0
    fields = await fetch(pool, "select distinct custom_fields, phone_normalized like '+55119876543%%' from leads")
    assert fields == [({"cidade": "São Paulo"}, True)]


async def test_status_for_people(command: Command, leads_file: WriteLeads) -> None:
    """Without --json the reports are lines that a person reads."""
    empty = await command("status")
    started = await start_campaign(command, leads_file("Ana,11987654321,Rio"))
    run_id = UUID(started.out.split()[1].rstrip(":"))
    ran = await command("run")
    overview, details = await command("status"), await command("status", run_id)
    nothing = await command("run")

    assert "no runs yet" in empty.out
    assert "1 message is due now" in started.out
    assert ran.out.startswith("1 claimed, 1 sent;")
    assert str(run_id) in overview.out
    assert "completed" in details.out
    assert "1 sent" in details.out
    assert nothing.out == "nothing was due\n"


async def test_watching_a_run_where_there_is_no_terminal(command: Command, pool: Pool) -> None:
    """In a pipe each look that shows something new follows the last, until the run ends."""
    run = await start_run(pool, 1)
    with command.start("status", run.run_id, "--watch") as watch:
        assert watch.stdout is not None
        try:
            with trio.fail_after(PATIENCE):
                read = partial(trio.to_thread.run_sync, watch.stdout.readline, abandon_on_cancel=True)
                lines = [await read() for _ in range(2)]
            ran = await command("run")
            code, rest, err = await finished(watch)
        finally:
            watch.kill()

    assert b"running" in lines[1]
    assert (ran.code, code, err) == (0, 0, "")
    assert f"{run.run_id}  Autumn    completed" in rest


async def test_a_name_that_would_move_the_cursor(command: Command, pool: Pool) -> None:
    """A name is shown as it is, without what a terminal would act on; as JSON it is whole."""
    await start_run(pool, 1, name="[red]\x1b[31mAutumn\x9b")
    people, programs = await command("status"), await command("status", "--json")

    assert "[red]\ufffd[31mAutumn\ufffd" in people.out
    assert programs.json["runs"][0]["name"] == "[red]\x1b[31mAutumn\x9b"


async def test_watch_and_json(command: Command) -> None:
    """--json prints one object, so it does not go with --watch."""
    outcome = await command("status", "--json", "--watch")

    assert outcome.code == 2
    assert outcome.err == "trioqueue: --json and --watch do not go together: --json prints one object\n"


async def test_a_run_that_does_not_exist(command: Command) -> None:
    """Status of a run that is not there is a usage error that names it."""
    outcome = await command("status", UUID(int=7))

    assert outcome.code == 2
    assert outcome.err == f"trioqueue: there is no run {UUID(int=7)} in the schema 'trioqueue'\n"


async def test_a_run_is_paused_resumed_and_cancelled(command: Command, pool: Pool) -> None:
    """Each command says what it did; one that does not fit the run's state is a usage error that names it."""
    run = await start_run(pool, 3)
    paused, again = await command("runs", "pause", run.run_id), await command("runs", "pause", run.run_id)
    nothing = await command("run")
    resumed, cancelled = await command("runs", "resume", run.run_id), await command("runs", "cancel", run.run_id)
    status = await command("status", run.run_id, "--json")

    assert [outcome.code for outcome in (paused, again, nothing, resumed, cancelled)] == [0, 2, 0, 0, 0]
    assert again.err == f"trioqueue: run {run.run_id} is paused: only a running run can be paused\n"
    assert nothing.out == "nothing was due\n"
    assert cancelled.out == f"run {run.run_id} is cancelled; 3 messages skipped\n"
    assert (status.json["status"], status.json["leads_skipped"]) == ("cancelled", 3)


async def test_bad_rows_import_nothing(command: Command, leads_file: WriteLeads, pool: Pool) -> None:
    """Bad rows are named with their lines, and nothing is imported."""
    leads = leads_file("Ana,11987654321,Rio", "Bia,123,Rio", "Caio,11987654322", "Dora,(11) 98765-4321,Rio")
    outcome = await start_campaign(command, leads)

    assert outcome.code == 2
    assert [line.split(":")[0].rsplit("/", 1)[-1] for line in outcome.err.splitlines()] == [
        "leads.csv, line 3", "leads.csv, line 4", "leads.csv, line 5", "trioqueue",
    ]  # fmt: skip
    assert "--skip-bad-rows" in outcome.err
    assert await fetch(pool, "select count(*) from leads union all select count(*) from campaign_runs") == [(0,), (0,)]


async def test_bad_rows_can_be_skipped(command: Command, leads_file: WriteLeads) -> None:
    """With --skip-bad-rows the good rows are imported; the same phone twice is one lead."""
    leads = leads_file("Ana,11987654321,Rio", "Bia,123,Rio", "Dora,(11) 98765-4321,Rio")
    outcome = await start_campaign(command, leads, "--skip-bad-rows", "--json")

    assert outcome.code == 0
    assert (outcome.json["messages"], outcome.json["bad_rows"], outcome.json["duplicate_rows"]) == (1, 1, 1)
    assert "stands in line 2 already" in outcome.err


async def test_a_file_that_is_no_use(command: Command, leads_file: WriteLeads, tmp_path: Path) -> None:
    """A file that is missing, empty, without phones or without rows is a usage error that says which."""
    latin = tmp_path / "latin.txt"
    latin.write_bytes("São".encode("latin-1"))
    leads = leads_file("Ana,11987654321,Rio")
    common = ("campaign", "start", "--name", "n", "--model", "m")
    missing = await command(*common, "--leads", "nowhere.csv", "--instructions", leads)
    not_text = await command(*common, "--leads", leads, "--instructions", latin)
    headless = await start_campaign(command, leads_file(header="nome,telefone"))
    empty = await start_campaign(command, leads_file())

    assert [outcome.code for outcome in (missing, not_text, headless, empty)] == [2, 2, 2, 2]
    assert missing.err == "trioqueue: nowhere.csv cannot be read: No such file or directory\n"
    assert "latin.txt is not UTF-8" in not_text.err
    assert "leads.csv: the header has no column primary_phone" in headless.err
    assert "leads.csv: there are no leads" in empty.err


async def test_texts_that_cannot_be_stored(command: Command, leads_file: WriteLeads, pool: Pool) -> None:
    """A text with a NUL or with half a character is a usage error that says which, and nothing is stored."""
    leads = leads_file("Ana,11987654321,Rio")
    nul = leads.with_name("nul.txt")
    nul.write_bytes(b"Escreva\0com gentileza.")
    common = ("campaign", "start", "--leads", leads)
    binary = await command(*common, "--name", "n", "--model", "m", "--instructions", nul)
    broken = await command(*common, "--name", "\udcff", "--model", "m", "--instructions", leads)

    assert (binary.code, broken.code) == (2, 2)
    assert binary.err == "trioqueue: the campaign's instructions has a NUL character at place 8\n"
    assert broken.err == "trioqueue: the campaign's name is not UTF-8\n"
    assert await fetch(pool, "select count(*) from leads union all select count(*) from campaign_runs") == [(0,), (0,)]


async def test_a_name_from_a_locale_that_is_not_utf8(command: Command, leads_file: WriteLeads, pool: Pool) -> None:
    """What was typed in UTF-8 is stored as it was typed, also in the C locale of a cron job."""
    locale = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    leads = leads_file("Ana,11987654321,Rio")
    names = ("--name", "Ação", "--model", "m", "--leads", leads, "--instructions", leads)
    outcome = await command("campaign", "start", *names, **locale)

    assert outcome.code == 0
    assert await fetch(pool, "select name from campaign_configs") == [("Ação",)]


async def test_the_deadline_is_an_exit_code(migrated_url: str, command: Command, pool: Pool) -> None:
    """When the deadline comes first and work is left, the exit code is 75 and the messages are due as before."""
    await start_run(pool, 3)
    async with simulated_world(WorldSettings(model_script=[Rule(ModelFault.HANG)])) as slow:
        outcome = await command("run", "--deadline", "0.5", "--json", TRIOQUEUE_OPENROUTER_URL=slow.model_url)

    assert outcome.code == 75
    assert outcome.json["released"] == 3
    assert await fetch(pool, "select distinct status, retry_count from campaign_messages") == [("pending", 0)]


async def test_a_key_that_is_not_accepted(command: Command, pool: Pool) -> None:
    """A refused key pauses the run; the exit code is 1, the run is named, and the key is shown nowhere."""
    run = await start_run(pool, 3)
    outcome = await command("run", OPENROUTER_API_KEY="a-wrong-key")
    again = await command("run", OPENROUTER_API_KEY="a-wrong-key")

    assert outcome.code == 1
    assert f"run {run.run_id} is paused: " in outcome.err
    assert "a-wrong-key" not in outcome.out + outcome.err
    assert (again.code, again.out) == (0, "nothing was due\n")


async def test_a_worker_stops_when_it_is_asked_to(command: Command, world: World, pool: Pool) -> None:
    """SIGTERM ends a worker with exit code 0; what it sent is sent, and its row is gone."""
    await start_run(pool, 5)
    process = command.start("worker", TRIOQUEUE_LOG_FORMAT="json")
    with trio.fail_after(PATIENCE):
        await world.wait_until(lambda world: len({delivery.conversation_id for delivery in world.deliveries}) == 5)
    process.send_signal(signal.SIGTERM)
    code, out, err = await finished(process)

    assert (code, out) == (0, "")
    assert '"event":"draining' in err
    assert await fetch(pool, "select count(*) from workers") == [(0,)]
    assert await fetch(pool, "select distinct status from campaign_messages where claimed_by is not null") == []


async def test_a_drain_releases_what_is_being_written(command: Command, pool: Pool) -> None:
    """SIGINT while the model hangs: the messages are released at once, and no retry is counted."""
    await start_run(pool, 5)
    async with simulated_world(WorldSettings(model_script=[Rule(ModelFault.HANG)])) as slow:
        process = command.start("run", "--drain", TRIOQUEUE_OPENROUTER_URL=slow.model_url)
        with trio.fail_after(PATIENCE):
            await slow.wait_until(lambda world: len(world.calls) == 5)
        process.send_signal(signal.SIGINT)
        code, out, _ = await finished(process)

    assert code == 0
    assert "5 released" in out
    assert await fetch(pool, "select distinct status, retry_count from campaign_messages") == [("pending", 0)]


async def test_a_killed_worker_sends_nothing_twice(command: Command, world: World, pool: Pool) -> None:
    """After kill -9 the next run takes over when the lease has run out; every part arrives at most once."""
    await start_run(pool, 30)
    process = command.start("worker", "--concurrency", "3")
    with trio.fail_after(PATIENCE):
        await world.wait_until(lambda world: len(world.deliveries) >= 10)
    process.kill()
    await finished(process)
    await fetch(pool, "update workers set beat_at = now() - interval '1 minute'")
    outcome = await command("run", "--drain", "--json")

    keys = [delivery.idempotency_key for delivery in world.deliveries]
    assert outcome.code == 0
    assert len(keys) == len(set(keys))
    states = dict(await fetch(pool, "select status, count(*) from campaign_messages group by status"))
    assert set(states) <= {"sent", "unconfirmed"}
    assert sum(states.values()) == 30
    unknown = await fetch(
        pool, "select count(distinct message_id) from campaign_message_parts where status = 'unknown'"
    )
    assert unknown == [(states.get("unconfirmed", 0),)]


async def stopped_at_once(command: Command, *arguments: str) -> tuple[int, str, str]:
    """What a command that sends says when a second SIGTERM comes while a gateway does not answer."""
    settings = WorldSettings(gateway_script=[Rule(GatewayFault.ACCEPT_THEN_HANG)])
    async with simulated_world(settings) as slow:
        process = command.start(
            *arguments,
            TRIOQUEUE_OPENROUTER_URL=slow.model_url,
            TRIOQUEUE_GATEWAY_URL=slow.gateway_url,
            TRIOQUEUE_SEND_TIMEOUT="50",
            TRIOQUEUE_LOG_FORMAT="json",
        )
        with trio.fail_after(PATIENCE):
            await slow.wait_until(lambda world: len(world.sends) == 1)
        process.send_signal(signal.SIGTERM)
        assert process.stderr is not None
        while b"draining" not in await trio.to_thread.run_sync(process.stderr.readline):
            pass
        process.send_signal(signal.SIGTERM)
        return await finished(process)


async def test_a_second_signal_stops_at_once(command: Command, pool: Pool) -> None:
    """A second SIGTERM does not wait for a gateway that does not answer; the exit code names the signal."""
    await start_run(pool, 1)
    code, _, _ = await stopped_at_once(command, "worker")

    assert code == 128 + signal.SIGTERM
    assert await fetch(pool, "select status from campaign_message_parts where part_no = 1") == [("sending",)]


async def test_a_run_that_is_stopped_at_once_reports(command: Command, pool: Pool) -> None:
    """Its one object is printed all the same, with what was claimed and has not ended."""
    await start_run(pool, 1)
    code, out, _ = await stopped_at_once(command, "run", "--json")

    assert code == 128 + signal.SIGTERM
    assert (orjson.loads(out)["claimed"], orjson.loads(out)["sent"]) == (1, 0)


async def test_an_embedded_server_that_was_killed_is_started_again(command: Command, tmp_path: Path) -> None:
    """A worker whose embedded server ends, for want of memory say, starts it again and goes on."""
    embedded = {"TRIOQUEUE_DATABASE_URL": None, "TRIOQUEUE_DATA_DIR": str(tmp_path / "data")}
    assert (await command("migrate", **embedded)).code == 0
    pid_file = tmp_path / "data" / "pgdata" / "postmaster.pid"

    def started() -> int | None:
        try:
            lines = pid_file.read_text().splitlines()
        except FileNotFoundError:  # the server that starts removes what the killed one left
            return None
        return int(lines[0]) if len(lines) > 7 and lines[7].strip() == "ready" else None

    with command.start("worker", **embedded, TRIOQUEUE_HEARTBEAT_INTERVAL="0.1") as worker:
        try:
            with trio.fail_after(PATIENCE):
                while (first := started()) is None:
                    await trio.lowlevel.checkpoint()
                socket = DataFolder(tmp_path / "data").socket.resolve()
                async with await connect(f"host={socket} user=trioqueue dbname=trioqueue") as observer:
                    await until(observer, f"select exists (select from {SCHEMA}.workers where beat_at > started_at)")
                os.kill(first, signal.SIGKILL)
                while started() in (None, first):
                    await trio.lowlevel.checkpoint()
            status = await command("status", **embedded)
            worker.terminate()
            code, _, _ = await finished(worker)
        finally:
            worker.kill()

    assert (status.code, code) == (0, 0)
