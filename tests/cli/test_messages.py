"""`trioqueue messages list`, `show`, `retry`, `confirm` and `resend`, as processes."""

from uuid import UUID, uuid4

import pytest

from tests.support.command import Command
from tests.support.database import fetch, start_run
from tests.support.unconfirmed import ended_run, unconfirmed_run
from trioqueue.domain.states import MessageStatus
from trioqueue.postgres.pool import Pool
from trioqueue.simulator import GatewayFault, RequestKind, Rule, World, WorldSettings, simulated_world


async def test_an_unconfirmed_message_is_found_and_confirmed(command: Command, world: World, pool: Pool) -> None:
    """The status of the run says how many there are and what to do; the one confirmed goes on with its last part."""
    run_id, [message_id] = await unconfirmed_run(pool)
    status = await command("status", run_id)
    listed = await command("messages", "list", "--run", run_id, "--status", "unconfirmed")
    confirmed, again = (
        await command("messages", "confirm", message_id),
        await command("messages", "confirm", message_id),
    )
    running = await command("status", run_id, "--json")
    ran = await command("run", "--json")
    after = await command("status", run_id, "--json")

    assert "1 unconfirmed" in status.out
    assert f"trioqueue messages list --run {run_id} --status unconfirmed" in status.out
    assert "trioqueue messages resend ID" in status.out
    assert str(message_id) in listed.out
    assert "read timed out" in listed.out
    assert confirmed.out == f"message {message_id} is pending, due now; the rest of it will be sent\n"
    assert (again.code, again.out) == (2, "")
    assert again.err == f"trioqueue: message {message_id} is pending: it waits to be sent; nothing needs to be done\n"
    assert (running.json["status"], running.json["leads_processed"], running.json["unconfirmed"]) == ("running", 0, 0)
    assert (ran.json["sent"], ran.json["parts_sent"]) == (1, 1)
    assert [delivery.idempotency_key for delivery in world.deliveries] == [f"{message_id}:3"]
    assert (after.json["status"], after.json["leads_success"]) == ("completed", 1)
    assert "unconfirmed" not in (await command("status", run_id)).out


async def test_a_message_is_sent_again(command: Command, world: World, pool: Pool) -> None:
    """After resend the part of unknown fate and the rest leave, and what was sent before does not."""
    _, [message_id] = await unconfirmed_run(pool)
    resent, ran = await command("messages", "resend", message_id), await command("run", "--json")

    assert resent.out == f"message {message_id} is pending, due now; the part will be sent\n"
    assert ran.json["sent"] == 1
    assert [delivery.idempotency_key for delivery in world.deliveries] == [f"{message_id}:2", f"{message_id}:3"]


async def test_a_failed_message_is_retried(command: Command, pool: Pool) -> None:
    """A retried message is sent by the next run, and counted once."""
    run_id, [message_id] = await ended_run(pool, MessageStatus.FAILED)
    retried, ran = await command("messages", "retry", message_id), await command("run", "--json")
    status = await command("status", run_id, "--json")

    assert retried.out == f"message {message_id} is pending again, due now\n"
    assert (ran.json["sent"], ran.json["skipped"]) == (1, 0)
    counters = ("status", "leads_processed", "leads_success", "leads_failed")
    assert [status.json[name] for name in counters] == ["completed", 1, 1, 0]


async def test_the_last_part_is_confirmed(command: Command, pool: Pool) -> None:
    """With no part left the message is sent at once."""
    _, [message_id] = await unconfirmed_run(pool, part=3)

    assert (await command("messages", "confirm", message_id)).out == f"message {message_id} is sent\n"


async def test_a_message_of_a_paused_run(command: Command, pool: Pool) -> None:
    """What is due now but waits for its run says so."""
    run_id, [first, second] = await unconfirmed_run(pool, 2)
    await command("messages", "resend", first)
    await command("runs", "pause", run_id)
    outcome = await command("messages", "confirm", second)

    paused = f"its run is paused: `trioqueue runs resume {run_id}`"
    assert outcome.out == f"message {second} is pending, due now; the rest of it will be sent; {paused}\n"


@pytest.mark.parametrize("action", ["show", "retry", "confirm", "resend"])
async def test_a_message_that_is_not_there(command: Command, action: str) -> None:
    """An unknown id is a usage error that names it."""
    outcome = await command("messages", action, UUID(int=7))

    assert outcome.code == 2
    assert outcome.err == f"trioqueue: there is no message {UUID(int=7)}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["confirm"],
        ["confirm", "no-uuid"],
        ["list", "--status", "nonsense"],
        ["list", "--run", "no-uuid"],
        ["list", "--limit", "0"],
        ["list", "--limit", "1.5"],
    ],
    ids=" ".join,
)
async def test_bad_usage(command: Command, arguments: list[str]) -> None:
    """What cannot be read is exit code 2 and one line."""
    outcome = await command("messages", *arguments)

    assert outcome.code == 2
    [line] = outcome.err.splitlines()
    assert line.startswith("trioqueue: ")


async def test_messages_as_json(command: Command, pool: Pool) -> None:
    """List and show print one object each."""
    run_id, [message_id] = await unconfirmed_run(pool)
    listed, shown = await command("messages", "list", "--json"), await command("messages", "show", message_id, "--json")
    empty = await command("messages", "list", "--run", uuid4(), "--json")

    [message] = listed.json["messages"]
    assert (message["message_id"], message["run_id"], message["status"]) == (
        str(message_id),
        str(run_id),
        "unconfirmed",
    )
    assert shown.json | message == shown.json
    assert [part["status"] for part in shown.json["parts"]] == ["sent", "unknown", "planned"]
    assert (shown.json["campaign"], shown.json["logs"]) == ("Autumn", [])
    assert empty.json == {"messages": [], "looked_at": None}


async def test_messages_for_people(command: Command, pool: Pool) -> None:
    """What a lead or a model wrote cannot rewrite the terminal or the table."""
    _, [message_id] = await unconfirmed_run(pool)
    await fetch(pool, "update leads set client_name = E'[bold]Ana\\x1b[2J'")
    await fetch(pool, "update campaign_message_parts set body = E'\\x1b]0;owned\\x07 [/b] Oi' where part_no = 2")
    listed, shown = await command("messages", "list"), await command("messages", "show", message_id)
    nothing = await command("messages", "list", "--status", "replied")

    assert (listed.code, shown.code) == (0, 0)
    assert "[bold]Ana\ufffd[2J" in listed.out
    assert "]0;owned\ufffd [/b] Oi" in shown.out
    assert "\x1b" not in listed.out + shown.out
    assert nothing.out == "no such messages\n"


async def test_a_gateway_that_can_be_asked_settles_messages(command: Command, pool: Pool) -> None:
    """Runs from cron settle what they can: each part arrives once, although the gateway's answers were lost."""
    run = await start_run(pool, 12, split=False)
    lost = [Rule(GatewayFault.ACCEPT_THEN_CLOSE, nth=range(1, 5)), Rule(GatewayFault.RESET, nth=range(5, 9))]
    async with simulated_world(WorldSettings(gateway_script=lost)) as world:
        variables = {
            "TRIOQUEUE_OPENROUTER_URL": world.model_url,
            "TRIOQUEUE_GATEWAY_URL": world.gateway_url,
            "TRIOQUEUE_GATEWAY_LOOKUP_URL": world.lookup_url,
        }
        first = await command("run", "--json", **variables)
        early = await command("run", "--json", **variables)
        asked_early = list(world.lookups)
        await fetch(pool, "update campaign_messages set updated_at = now() - interval '2 minutes'")
        second = await command("run", "--json", **variables)
    status = await command("status", run.run_id, "--json")
    keys = [delivery.idempotency_key for delivery in world.deliveries]

    assert (first.json["sent"], first.json["unconfirmed"]) == (4, 8)
    assert (early.json["claimed"], asked_early) == (0, [])
    assert len(world.lookups) == len(set(world.lookups)) == 8
    assert second.json["sent"] == 4
    assert len(keys) == len(set(keys)) == 12
    counters = ("status", "leads_processed", "leads_success", "unconfirmed")
    assert [status.json[name] for name in counters] == ["completed", 12, 12, 0]


async def test_a_look_up_that_does_not_work_costs_a_batch_nothing(command: Command, pool: Pool) -> None:
    """An endpoint that is not there leaves messages to people, and the batch is sent all the same."""
    await unconfirmed_run(pool)
    await fetch(pool, "update campaign_messages set updated_at = now() - interval '2 minutes'")
    await start_run(pool, 2, first=10)
    ran = await command("run", "--json", TRIOQUEUE_GATEWAY_LOOKUP_URL="http://127.0.0.1:1/look-up")

    assert (ran.code, ran.json["sent"]) == (0, 2)
    assert "the gateway cannot tell what became of a part" in ran.err
    assert await fetch(pool, "select count(*) from campaign_messages where status = 'unconfirmed'") == [(1,)]


async def test_people_who_opted_out_are_skipped(command: Command, world: World, pool: Pool) -> None:
    """What the CRM says of a lead or a conversation holds for what waits already, and nothing is paid for it."""
    run = await start_run(pool, 3)
    await fetch(pool, "update leads set status = 'opted_out' where client_name = 'Lead 0'")
    await fetch(pool, "update conversations set taken_over_at = now() where contact_phone like '%%1'")
    ran = await command("run", "--json")
    plain = await command("messages", "list", "--run", run.run_id, "--status", "skipped")
    status = await command("status", run.run_id, "--json")

    assert (ran.json["claimed"], ran.json["sent"], ran.json["skipped"]) == (3, 1, 2)
    assert "the lead has opted out" in plain.out
    assert "a person has taken the conversation over" in plain.out
    assert (status.json["status"], status.json["leads_skipped"]) == ("completed", 2)
    assert len({delivery.conversation_id for delivery in world.deliveries}) == 1
    [written] = [call for call in world.calls if call.kind is RequestKind.GENERATE]
    assert "Lead 2" in written.summary
