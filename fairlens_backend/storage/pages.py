"""Cursors of lists that are ordered by a row's number: opaque to the caller, steady while rows are added."""

import base64
import binascii

from fairlens_backend.errors import InvalidInput

LARGEST_ID = (
    2**63 - 1
)  # what a BIGINT column holds; more would be an error of the database and not of the caller


def encode_cursor(row_id: int) -> str:
    """The cursor that continues behind a row.

    Examples
    --------
    >>> decode_cursor(encode_cursor(42))
    42
    """
    return base64.urlsafe_b64encode(f"id:{row_id}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None, start: int = 0) -> int:
    """The row's number that a cursor names; `start` for the first page.

    Raises
    ------
    InvalidInput : not a cursor that a list of this server gave
    """
    if cursor is None:
        return start
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        kind, _, number = (
            base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii").partition(":")
        )
        row_id = int(number) if number.isdecimal() else -1
    except (binascii.Error, UnicodeError):
        kind, row_id = "", -1
    if kind != "id" or not 0 <= row_id <= LARGEST_ID:
        raise InvalidInput(
            "cursor is not one that this server gave.",
            field="cursor",
            got=cursor[:80],
            expected="next_cursor of the page before",
        )
    return row_id
