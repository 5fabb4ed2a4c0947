"""The deliveries on disk."""

from pathlib import Path

import pytest

from tests.simulator.worlds import client_of
from trioqueue.simulator import GatewayFault, Rule, SimulatorError, WorldSettings, read_deliveries, simulated_world


async def test_written_before_the_answer(tmp_path: Path):
    """When the client has its answer, or a broken connection, the delivery is in the file."""
    file = tmp_path / "deliveries.jsonl"
    async with client_of(deliveries_file=file, gateway_script=[Rule(GatewayFault.CONFLICT, nth=2)]) as client:
        await client.send("Oi, João!\nTudo bem? 👩‍💻", key="m:1")
        after_first = read_deliveries(file)
        await client.send("refused")
        await client.send("Até!")

    assert after_first == client.world.deliveries[:1]
    assert after_first[0].text == "Oi, João!\nTudo bem? 👩‍💻"
    assert read_deliveries(file) == client.world.deliveries
    assert len(client.world.deliveries) == 2


async def test_continued(tmp_path: Path):
    """A world that starts again with the same file knows what was delivered before, and its ids go on."""
    file = tmp_path / "deliveries.jsonl"
    async with client_of(deliveries_file=file, idempotent=True) as client:
        first = await client.send(key="m:1")
    async with client_of(deliveries_file=file, idempotent=True) as client:
        again = await client.send(key="m:1")
        other = await client.send(key="m:2")

    assert first.json() == again.json() != other.json()
    assert [delivery.number for delivery in read_deliveries(file)] == [1, 2]


@pytest.mark.parametrize("cut", [b"{", b'{"number":2,"conversation_id":"c-'])
async def test_cut_line(tmp_path: Path, cut: bytes):
    """A line that a crash has cut was never answered: it is left out, and taken off by the next world."""
    file = tmp_path / "deliveries.jsonl"
    async with client_of(deliveries_file=file) as client:
        await client.send("one")
    with file.open("ab") as appended:
        appended.write(cut)
    before = read_deliveries(file)
    async with client_of(deliveries_file=file) as client:
        await client.send("two")

    assert [delivery.text for delivery in before] == ["one"]
    assert [delivery.text for delivery in read_deliveries(file)] == ["one", "two"]


@pytest.mark.parametrize(
    "content", [b"something else", b"something else\n", b"[]\n", b'{"number": 1}\n', b"\xff\n", b"1\n"]
)
async def test_other_file(tmp_path: Path, content: bytes):
    """A file that holds something else is refused by its name and stays as it is."""
    file = tmp_path / "other.txt"
    file.write_bytes(content)

    with pytest.raises(SimulatorError, match=r"other\.txt"):
        async with simulated_world(WorldSettings(deliveries_file=file)):
            pass
    assert file.read_bytes() == content


async def test_no_file(tmp_path: Path):
    """A file that cannot be opened is refused by its name."""
    with pytest.raises(SimulatorError, match="missing"):
        async with simulated_world(WorldSettings(deliveries_file=tmp_path / "missing" / "file")):
            pass
    with pytest.raises(SimulatorError, match="missing"):
        read_deliveries(tmp_path / "missing")
