"""What waits for a decision that is erased: early labels and attributes; and where else a token may stand."""

from collections.abc import Sequence
from typing import Final

from fairlens_backend.storage import driver_sql
from fairlens_backend.storage.session import is_postgresql

TABLES: Final = ("early_labels", "early_attributes")
_AT_ONCE: Final = 400


def of_events(digests: Sequence[bytes]) -> dict[str, set[bytes]]:
    """By table the digests for which something waits there."""
    found: dict[str, set[bytes]] = {table: set() for table in TABLES}
    for start in range(0, len(digests), _AT_ONCE):
        some = list(digests[start : start + _AT_ONCE])
        marks = ", ".join("?" * len(some))
        for table in TABLES:
            rows = driver_sql.rows(f"SELECT digest FROM {table} WHERE digest IN ({marks})", *some)
            found[table] |= {bytes(one) for (one,) in rows}
    return found


def holding(tokens: Sequence[str]) -> set[bytes]:
    """The digests of events whose waiting attributes hold one of the tokens, which are one tenant's and no other's."""
    where = " OR ".join([_holds("attributes")] * len(tokens))
    return {
        bytes(one)
        for (one,) in driver_sql.rows(f"SELECT digest FROM early_attributes WHERE {where}", *tokens)
    }


def drop(found: dict[str, set[bytes]]) -> None:
    """Delete what waits."""
    for table, digests in found.items():
        driver_sql.run_many(f"DELETE FROM {table} WHERE digest = ?", [(one,) for one in sorted(digests)])


def group_labels(tenant: str, tokens: Sequence[str]) -> int:
    """How many groups of the tenant's counts have one of the tokens in their label."""
    where = " OR ".join([_holds("count_groups.labels")] * len(tokens))
    sql = "SELECT count(*) FROM count_groups JOIN count_series ON count_series.id = count_groups.series_id"
    return int(driver_sql.rows(f"{sql} WHERE count_series.tenant = ? AND ({where})", tenant, *tokens)[0][0])


def _holds(column: str) -> str:
    # Not LIKE, in which the underscores of a token would stand for any character.
    return f"{'strpos' if is_postgresql() else 'instr'}(CAST({column} AS TEXT), ?) > 0"
