"""Ids of erased events, as keyed digests: what was erased is not taken again, and nobody without the key can tell of whom.

The key comes from a floor above, which registers where to ask for it. Without that nothing is looked up unkeyed: it is an
error, and the event is not taken.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

from fairlens_backend.storage import driver_sql

DIGEST_BYTES: Final = 16
_AT_ONCE: Final = 400
_key_source: list[Callable[[], bytes]] = []


def ask_for_key(source: Callable[[], bytes]) -> None:
    """Say who knows the key; it is asked inside the caller's transaction, and only where something was erased."""
    _key_source[:] = [source]


def keep(digests: Sequence[bytes]) -> None:
    """Remember ids of erased events, by their digests."""
    rows = [(one,) for one in sorted(set(_keyed(digests)))]
    driver_sql.run_many("INSERT INTO erased_ids (digest) VALUES (?) ON CONFLICT DO NOTHING", rows)


def known(digests: Sequence[bytes]) -> set[bytes]:
    """Those of the digests whose event was erased."""
    if not digests or not driver_sql.rows("SELECT 1 FROM erased_ids LIMIT 1"):
        return set()
    by_keyed = dict(zip(_keyed(digests), digests, strict=True))
    keyed, found = list(by_keyed), set()
    for start in range(0, len(keyed), _AT_ONCE):
        some = keyed[start : start + _AT_ONCE]
        marks = ", ".join("?" * len(some))
        for (one,) in driver_sql.rows(f"SELECT digest FROM erased_ids WHERE digest IN ({marks})", *some):
            found.add(by_keyed[bytes(one)])
    return found


def _keyed(digests: Sequence[bytes]) -> list[bytes]:
    if not digests:
        return []
    if not _key_source:
        raise RuntimeError("no room has said who knows the key of erased ids")
    start = hashlib.blake2b(digest_size=DIGEST_BYTES, key=_key_source[0]())
    keyed = []
    for one in digests:
        state = start.copy()
        state.update(one)
        keyed.append(state.digest())
    return keyed
