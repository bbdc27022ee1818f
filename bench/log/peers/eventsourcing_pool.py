"""eventsourcing's connections with the durability that is asked for; WAL is its own choice already."""

from typing import Any


def make_durable(datastore: Any, synchronous: str) -> None:
    """Every connection of this data store, from now on; and many writers may wait for their turn."""
    pool = datastore.pool
    pool.pool_timeout = 120
    create = pool._create_connection

    def durable(made: Any) -> Any:
        made._sqlite_conn.execute(f"PRAGMA synchronous = {synchronous}")
        return made

    pool._create_connection = lambda: durable(create())
    # Those that it has made already, for its tables, too.
    for made in pool._pool:
        durable(made)
