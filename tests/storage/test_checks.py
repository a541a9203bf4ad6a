"""Pages of records, the last records of a model, the head of the chain."""

import base64

import pytest

from fairlens_backend.errors import InvalidInput
from fairlens_backend.storage import checks
from fairlens_backend.storage.session import read_snapshot, unit_of_work
from tests.evidence_kit import TENANT, add


def test_the_head_is_the_newest_record(database: None) -> None:
    """64 zeros before the first; then place and hash of the last."""
    with read_snapshot():
        assert checks.head() == (0, "0" * 64)
    first = add(1)
    second = add(2)
    assert second["prev_hash"] == first["hash_value"]
    with read_snapshot():
        assert checks.head() == (2, second["hash_value"])
        assert checks.count() == 2


@pytest.mark.parametrize(
    "cursor",
    ["", "x", "seq:3", "é", "AAAA", "c2VxOjA", "c2VxOjAwMw", "c2VxOi0x", "c2VxOjM=", "c2Vx OjM", "9" * 3000],
)
def test_a_cursor_that_no_page_gave_is_refused(database: None, cursor: str) -> None:
    """Every spelling but the one that a page gives: InvalidInput that names the field."""
    with read_snapshot(), pytest.raises(InvalidInput) as caught:
        checks.list_checks(TENANT, cursor=cursor)
    assert caught.value.details["field"] == "cursor"


def test_a_place_beyond_the_database_is_no_cursor(database: None) -> None:
    """A number that no integer column holds is refused before the database sees it."""
    cursor = base64.urlsafe_b64encode(f"seq:{2**63}".encode()).decode().rstrip("=")
    with read_snapshot(), pytest.raises(InvalidInput):
        checks.list_checks(TENANT, cursor=cursor)


@pytest.mark.parametrize("limit", [0, -1, 501, 10**9])
def test_a_limit_out_of_range_is_refused(database: None, limit: int) -> None:
    """1 to 500."""
    with read_snapshot(), pytest.raises(InvalidInput):
        checks.list_checks(TENANT, limit=limit)


def test_the_last_page_has_no_cursor(database: None) -> None:
    """Also when it is full; an empty list has none either."""
    with read_snapshot():
        assert checks.list_checks(TENANT) == ([], None)
    for number in range(1, 5):
        add(number)
    with read_snapshot():
        page, cursor = checks.list_checks(TENANT, limit=2)
        assert [record["seq"] for record in page] == [4, 3]
        page, cursor = checks.list_checks(TENANT, limit=2, cursor=cursor)
        assert ([record["seq"] for record in page], cursor) == ([2, 1], None)


def test_recent_records_come_oldest_first(database: None) -> None:
    """The last of a window, in the order of time, of one tenant and, when asked, one model."""
    for number in range(1, 8):
        add(number, model="a" if number % 2 else "b", tenant="other" if number == 7 else TENANT)
    with read_snapshot():
        assert [record["seq"] for record in checks.recent(TENANT, window=3)] == [4, 5, 6]
        assert [record["seq"] for record in checks.recent(TENANT, model="a", window=2)] == [3, 5]
        assert checks.recent("nobody") == []


def test_encrypted_rows_come_in_batches_once_each(database: None) -> None:
    """Every row with a text, none twice, none without."""
    for number in range(1, 8):
        add(number, alert=None if number == 3 else "x")
    with unit_of_work():
        assert [[row.seq for row in rows] for rows in checks.encrypted(batch=4)] == [[1, 2, 4, 5], [6, 7]]
