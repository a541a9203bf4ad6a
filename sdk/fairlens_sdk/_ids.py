"""Event ids: UUID version 7, ordered by time, so that a server's index grows at one end."""

from __future__ import annotations

_SUB_MS = 1_000_000  # nanoseconds in a millisecond
_VERSION_7 = 0x7000_8000_0000_0000_0000  # the bits of version and variant


def event_id(now_ns: int, random_62: int) -> str:
    """A UUIDv7 of an instant and 62 random bits.

    Parameters
    ----------
    now_ns : nanoseconds since 1970, UTC
    random_62 : int in [0, 2**62)

    Examples
    --------
    >>> event_id(1_700_000_000_123_500_000, 1)
    '018bcfe5-687b-7800-8000-000000000001'

    Source: RFC 9562 section 5.7; the 12 bits after the version are the fraction of the millisecond (section 6.2,
    method 3), so ids of one process are in order down to 244 ns.
    """
    ms, rest = divmod(now_ns, _SUB_MS)
    number = ms << 80 | _VERSION_7 | (rest << 12) // _SUB_MS << 64 | random_62
    text = number.to_bytes(16, "big").hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def event_ids(now_ns: int, random_62: int, n: int) -> list[str]:
    """`n` ids that follow one another: one draw serves a whole frame, and each side computes the same list."""
    return [event_id(now_ns, (random_62 + i) % 2**62) for i in range(n)]
