"""`trioqueue messages list`, `show`, `retry`, `confirm` and `resend`, as processes."""

from uuid import UUID, uuid4

import pytest

from tests.support.command import Command
from tests.support.database import fetch
from tests.support.unconfirmed import ended_run, unconfirmed_run
from trioqueue.domain.states import MessageStatus
from trioqueue.postgres.pool import Pool
from trioqueue.simulator import World


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
    assert empty.json == {"messages": []}


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
