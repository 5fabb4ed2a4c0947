"""What `trioqueue doctor` sees of a PgBouncer in transaction mode."""

import pytest

from tests.pooler.conftest import Pooler
from trioqueue.domain.checkup.server import ServerFacts
from trioqueue.postgres.checkup import look_at_server
from trioqueue.postgres.connect import connect


async def looked(url: str) -> ServerFacts:
    """The facts of the server behind a URL."""
    async with (
        await connect(url, prepare_threshold=None, statement_timeout=None, idle_in_transaction_timeout=None) as one,
        await connect(url, prepare_threshold=None, statement_timeout=None, idle_in_transaction_timeout=None) as other,
    ):
        return await look_at_server(one, other, embedded=False)


@pytest.mark.parametrize("pooled", [True, False])
async def test_a_pooler_shows_itself(pooler: Pooler, migrated_url: str, pooled: bool) -> None:
    """Two clients that get one server connection in turn have a pooler before them; those of a server do not."""
    facts = await looked(pooler.url if pooled else migrated_url)

    assert (facts.pooled, facts.shared) == (pooled, pooled)
