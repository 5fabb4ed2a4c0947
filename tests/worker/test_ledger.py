"""The ledger: many messages' facts in one commit, none acknowledged before it is on disk, none lost."""

from uuid import uuid4

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from tests.support.clock import passes, virtual_time
from tests.worker.rig import Rig, running
from trioqueue.domain.completions import NOTHING_SPENT
from trioqueue.domain.facts import (
    Fact,
    Noted,
    PartsPlanned,
    Returned,
    SendIntended,
    TextGenerated,
    Verdict,
    WayBack,
)
from trioqueue.domain.logs import LogEntry, LogLevel, LogStep
from trioqueue.domain.messages import Claim
from trioqueue.domain.states import PartStatus, RunStatus
from trioqueue.ports import StoreUnavailable
from trioqueue.worker.ledger import FEW, LONGEST_PACE, OWN_FAULT_AFTER, pace
from trioqueue.worker.reconnect import LONGEST_WAIT


def note(claim: Claim, text: str = "noted") -> Noted:
    """A fact that changes nothing but the log."""
    return Noted(claim, LogEntry(LogStep.STARTED, LogLevel.INFO, text))


async def claims(rig: Rig, count: int) -> list[Claim]:
    """Claims of messages that are due."""
    rig.store.add(count)
    return [message.claim for message in await rig.store.claim(rig.incarnation.id, count)]


@virtual_time
async def test_one_commit_for_many() -> None:
    """What is told while two commits are on their way to the disk goes into the next one, all together, in order."""
    async with running() as rig:
        first, second, *others = await claims(rig, 2 + FEW)
        gate = rig.store.hold("commit")
        async with trio.open_nursery() as nursery:
            for claim in (first, second, *others):
                nursery.start_soon(rig.ledger.record, note(claim))
                await trio.testing.wait_all_tasks_blocked()
            gate.set()

        told = [[fact.claim for fact, _ in commit] for commit in rig.store.commits]

    assert told[2] == others
    assert sorted(told[:2], key=[[first], [second]].index) == [[first], [second]]


@pytest.mark.parametrize(("in_flight", "most"), [(FEW, 500), (FEW + 60, 334), (500, 251)])
@virtual_time
async def test_with_many_in_flight_commits_begin_apart(in_flight: int, most: int) -> None:
    """Facts of many messages that come one by one share commits; those of few are committed at once."""
    rig = Rig()
    rig.held.update(uuid4() for _ in range(in_flight))
    async with running(rig):
        told = await claims(rig, 500)
        waits: list[float] = []

        async def tell(claim: Claim) -> None:
            began = trio.current_time()
            await rig.ledger.record(note(claim))
            waits.append(trio.current_time() - began)

        async with trio.open_nursery() as nursery:
            for claim in told:
                nursery.start_soon(tell, claim)
                await passes(0.002)

    assert most - 3 <= len(rig.store.commits) <= most
    assert max(waits) <= pace(in_flight) + 1e-9 <= LONGEST_PACE + 1e-9


@virtual_time
async def test_facts_of_one_message_keep_their_order() -> None:
    """What is told of a message of which something is under way waits, and what is told of others does not."""
    async with running() as rig:
        slow, other = await claims(rig, 2)
        gate = rig.store.hold("commit")
        async with trio.open_nursery() as nursery:
            for claim, text in ((slow, "first"), (slow, "second"), (other, "other"), (slow, "third")):
                nursery.start_soon(rig.ledger.record, note(claim, text))
                await trio.testing.wait_all_tasks_blocked()
            gate.set()

        told = [entry.message for _, entry in rig.store.logs]

    assert [text for text in told if text != "other"] == ["first", "second", "third"]
    assert told.index("other") < 2


@pytest.mark.parametrize(("in_flight", "most"), [(0, 20), (40, 20), (50, 25), (150, 75), (500, 80)])
@virtual_time
async def test_a_commit_holds_half_of_the_messages_in_flight(in_flight: int, most: int) -> None:
    """Some wait for the next one, so that not everybody waits for the same; with few in flight it is 20 entries."""
    rig = Rig()
    rig.held.update(uuid4() for _ in range(in_flight))
    async with running(rig):
        told = await claims(rig, 80)
        async with trio.open_nursery() as nursery:
            for claim in told:
                nursery.start_soon(rig.ledger.record, note(claim))

    sizes = [len(commit) for commit in rig.store.commits]
    assert (sum(sizes), max(sizes)) == (80, most)


@virtual_time
async def test_nothing_is_acknowledged_before_it_is_durable() -> None:
    """Who tells a fact goes on when its commit has returned, not before."""
    async with running() as rig:
        [claim] = await claims(rig, 1)
        rig.store.takes = 3.0
        began = trio.current_time()
        verdict = await rig.ledger.record(note(claim))

        assert verdict is Verdict.DURABLE
        assert trio.current_time() - began == 3.0


@virtual_time
async def test_an_away_store_is_told_the_same_again() -> None:
    """While the store is away the facts wait, with growing pauses of at most five seconds, and none is lost."""
    async with running() as rig:
        [claim] = await claims(rig, 1)
        rig.store.fail("commit", *(StoreUnavailable("away") for _ in range(10)))
        began = trio.current_time()
        told = note(claim)
        verdict = await rig.ledger.record(told)

        assert verdict is Verdict.DURABLE
        assert rig.store.facts(Noted) == [told]
        assert trio.current_time() - began == pytest.approx(0.1 + 0.2 + 0.4 + 0.8 + 1.6 + 3.2 + 4 * 5.0)


@virtual_time
async def test_an_intent_whose_answer_was_lost_is_granted_again() -> None:
    """A commit that came through although its connection was lost is told again and leaves what it left."""
    async with running() as rig:
        [claim] = await claims(rig, 1)
        rig.store.fail("commit", StoreUnavailable("lost"), done=True)
        verdict = await rig.ledger.record(PartsPlanned(claim, ("um", "dois"), NOTHING_SPENT), SendIntended(claim, 1))

        assert verdict is Verdict.DURABLE
        assert len(rig.store.commits) == 2
        assert rig.store.messages[claim.message_id].part_statuses() == [PartStatus.SENDING, PartStatus.PLANNED]


class Refused(Exception):
    """What a store says to a fact that it cannot hold."""


@virtual_time
async def test_a_refused_fact_is_its_own_messages_fault() -> None:
    """A fact that the store refuses fails the one who told it; the facts told with it in the same batch are written."""
    async with running() as rig:
        bad, *good = await claims(rig, 4)
        verdicts: list[Verdict] = []

        def refuse(fact: Fact) -> None:
            if fact.claim == bad:
                raise Refused

        async def tell_good(claim: Claim) -> None:
            verdicts.append(await rig.ledger.record(note(claim)))

        async def tell_bad() -> None:
            with pytest.raises(Refused):
                await rig.ledger.record(note(bad))

        rig.store.refuse = refuse
        gate = rig.store.hold("commit")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(tell_good, good[0])
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(tell_bad)
            for claim in good[1:]:
                nursery.start_soon(tell_good, claim)
            await trio.testing.wait_all_tasks_blocked()
            gate.set()

        assert verdicts == [Verdict.DURABLE] * 3
        assert {fact.claim for fact in rig.store.facts(Noted)} == set(good)


@virtual_time
async def test_a_refused_fact_is_told_again() -> None:
    """A store that refused a fact while it took no other is asked again: it may have refused everything just then."""
    async with running() as rig:
        [claim] = await claims(rig, 1)
        rig.store.fail("commit", *(Refused() for _ in range(5)))

        assert await rig.ledger.record(note(claim)) is Verdict.DURABLE
        assert not rig.standstill.begun


@virtual_time
async def test_a_fact_refused_alone_is_its_messages_fault_after_a_time() -> None:
    """With no other to compare it with, one that is refused fails after a quarter of a minute; the ledger goes on."""
    async with running() as rig:
        [claim] = await claims(rig, 1)
        rig.store.refuse = refuse_texts
        with pytest.raises(Refused):
            await rig.ledger.record(TextGenerated(claim, "Olá, Ana!", "model", NOTHING_SPENT, 7))

        assert trio.current_time() == pytest.approx(OWN_FAULT_AFTER, abs=5.0)
        assert await rig.ledger.record(note(claim)) is Verdict.DURABLE


@virtual_time
async def test_what_is_told_after_a_refused_fact_waits_for_it() -> None:
    """Facts of one message keep their order also when the first is refused; those of others pass it by."""
    async with running() as rig:
        held, other = await claims(rig, 2)
        rig.store.refuse = refuse_texts
        async with trio.open_nursery() as nursery:
            with trio.move_on_after(1):
                await rig.ledger.record(TextGenerated(held, "Olá, Ana!", "model", NOTHING_SPENT, 7))
            nursery.start_soon(rig.ledger.record, note(held, "second"))
            await passes(5.0)
            before = [entry.message for _, entry in rig.store.logs]
            rig.store.refuse = take_all
            await rig.ledger.record(note(other, "other"))

        told = [entry.message for _, entry in rig.store.logs]

    assert before == []
    assert sorted(told) == ["other", "second"]
    assert rig.store.messages[held.message_id].text == "Olá, Ana!"


@virtual_time
async def test_nothing_builds_on_a_fact_whose_refusal_nobody_heard() -> None:
    """Where nobody waited for a fact any more when it was refused, the next of its message fails, and only that."""
    async with running() as rig:
        [claim] = await claims(rig, 1)
        rig.store.refuse = refuse_texts
        with trio.move_on_after(1):
            await rig.ledger.record(TextGenerated(claim, "Olá, Ana!", "model", NOTHING_SPENT, 7))
        with pytest.raises(Refused):
            await rig.ledger.record(PartsPlanned(claim, ("um",), NOTHING_SPENT), SendIntended(claim, 1))

        assert await rig.ledger.record(note(claim)) is Verdict.DURABLE
        assert rig.store.facts(SendIntended) == []


@virtual_time
async def test_many_refused_facts_do_not_keep_the_others_waiting() -> None:
    """However many facts are refused, those of other messages are written without delay."""
    async with running() as rig:
        good, *bad = await claims(rig, 20)
        rig.store.refuse = refuse_texts

        async def tell_bad(claim: Claim) -> None:
            with pytest.raises(Refused):
                await rig.ledger.record(TextGenerated(claim, "Olá, Ana!", "model", NOTHING_SPENT, 7))

        async with trio.open_nursery() as nursery:
            for claim in bad:
                nursery.start_soon(tell_bad, claim)
            await passes(3.0)
            began = trio.current_time()

            assert await rig.ledger.record(note(good)) is Verdict.DURABLE
            assert trio.current_time() == began
        assert trio.current_time() <= began + LONGEST_WAIT


def refuse_texts(fact: Fact) -> None:
    """Refuse texts."""
    if isinstance(fact, TextGenerated):
        raise Refused


def take_all(_fact: Fact) -> None:
    """Refuse nothing."""


@pytest.mark.parametrize("queued", [False, True])
@virtual_time
async def test_a_cancelled_waiter_does_not_take_its_fact_along(queued: bool) -> None:
    """What was told is written although nobody waits for it any more: a paid text is not thrown away."""
    async with running() as rig:
        claim, other = await claims(rig, 2)
        gate = rig.store.hold("commit")
        async with trio.open_nursery() as nursery:
            if queued:
                nursery.start_soon(rig.ledger.record, note(other))
                await trio.testing.wait_all_tasks_blocked()
            with trio.move_on_after(1) as scope:
                await rig.ledger.record(TextGenerated(claim, "Olá, Ana!", "model", NOTHING_SPENT, 7))
            gate.set()
        await rig.ledger.record(note(claim))

        assert scope.cancelled_caught
        assert rig.store.messages[claim.message_id].text == "Olá, Ana!"


@virtual_time
async def test_a_lost_claim_outweighs_a_stopped_run() -> None:
    """Of the verdicts on facts told together the gravest counts: lost, then stopped, then durable."""
    async with running() as rig:
        held, lost = await claims(rig, 2)
        rig.take_away(rig.store.messages[lost.message_id])
        rig.store.runs[held.run_id] = RunStatus.PAUSED
        planned = PartsPlanned(held, ("um",), NOTHING_SPENT)

        assert await rig.ledger.record(planned) is Verdict.DURABLE
        assert await rig.ledger.record(planned, SendIntended(held, 1)) is Verdict.RUN_STOPPED
        assert await rig.ledger.record(SendIntended(held, 1), note(held)) is Verdict.RUN_STOPPED
        assert await rig.ledger.record(note(lost), SendIntended(held, 1), note(held)) is Verdict.CLAIM_LOST


entries = st.tuples(st.integers(0, 5), st.integers(1, 3), st.booleans())


@given(st.lists(entries, max_size=40), st.data())
@virtual_time
async def test_every_entry_gets_its_own_verdict(told: list[tuple[int, int, bool]], data: st.DataObject) -> None:
    """Whatever is told in whatever batches, each entry learns what became of its own facts and of no other's."""
    async with running() as rig:
        claimed = await claims(rig, 6)
        rig.store.takes = data.draw(st.sampled_from([0.0, 0.5]))
        answers: dict[int, Verdict] = {}

        async def tell(place: int, *facts: Fact) -> None:
            answers[place] = await rig.ledger.record(*facts)

        ended: set[int] = set()
        expected: dict[int, Verdict] = {}
        async with trio.open_nursery() as nursery:
            for place, (which, notes, ends) in enumerate(told):
                facts: list[Fact] = [note(claimed[which]) for _ in range(notes)]
                expected[place] = Verdict.CLAIM_LOST if which in ended else Verdict.DURABLE
                if ends:
                    facts.append(Returned(claimed[which], WayBack.RELEASE, None, 0))
                    ended.add(which)
                nursery.start_soon(tell, place, *facts)
                await passes(data.draw(st.sampled_from([0.0, 0.25])))

    assert answers == expected
