"""A tree folded from leaves and tiles has the root that RFC 9162's recursion gives for all its leaves."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlens_backend.core.tree_fold import TreeFold, tiles
from fairlens_backend.errors import InvalidInput


def recursive_root(leaves: list[bytes]) -> bytes:
    """RFC 9162 section 2.1.1, word for word: the split is the largest power of two below n."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return sha256(b"\1" + recursive_root(leaves[:split]) + recursive_root(leaves[split:])).digest()


@given(st.integers(0, 70), st.data())
def test_any_mixture_of_leaves_and_tiles_has_the_same_root(n: int, data: st.DataObject) -> None:
    """Whichever stretches are hidden behind subtree roots, the root is that of all leaves."""
    leaves = [str(i).encode() for i in range(n)]
    fold = TreeFold()
    while fold.size < n:
        end = data.draw(st.integers(fold.size + 1, n))
        if data.draw(st.booleans()):
            fold.add_leaf(sha256(b"\0" + leaves[fold.size]).digest())
        else:
            hidden = [
                recursive_root(leaves[i << level : (i + 1) << level]) for level, i in tiles(fold.size, end)
            ]
            fold.add_tiles(end, hidden)
        assert fold.root() == recursive_root(leaves[: fold.size])
    assert fold.root() == recursive_root(leaves)


@given(st.integers(0, 500), st.integers(0, 500))
def test_tiles_are_aligned_and_cover_the_range_once(start: int, end: int) -> None:
    """Each tile begins where the one before ends, and at a multiple of its own size."""
    at = start
    for level, index in tiles(start, end):
        assert index << level == at
        at += 1 << level
    assert at == max(start, end)


def test_a_missing_hash_is_said() -> None:
    """Seven entries from 0 are three tiles; two hashes cannot stand for them."""
    with pytest.raises(InvalidInput, match="2 hashes for the entries 0 to 6; 3 were expected"):
        TreeFold().add_tiles(7, [b"", b""])
