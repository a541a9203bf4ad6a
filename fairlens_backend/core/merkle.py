"""The Merkle tree of RFC 9162 over a log's entries: hashes, roots, proofs and their verification.

A tree of n leaves is kept as the hashes of its complete subtrees. The subtree at (level, index) covers the leaves from
index · 2^level to (index + 1) · 2^level − 1; it is complete from the moment its last leaf is there and never changes
after, so whatever a proof needs is read from O(log n) such hashes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from hashlib import sha256
from typing import Final

from fairlens_backend.errors import InvalidInput

__all__ = [
    "EMPTY_ROOT",
    "HASH_BYTES",
    "Frontier",
    "Node",
    "consistency_proof",
    "inclusion_proof",
    "leaf_hash",
    "node_hash",
    "peaks",
    "root_from_inclusion",
    "verify_consistency",
    "verify_inclusion",
]

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()
"""the root of the tree without leaves"""

Node = tuple[int, int]
"""(level, index) of a complete subtree"""
Reader = Callable[[Iterable[Node]], Mapping[Node, bytes]]
"""gives the hashes of complete subtrees; it is called once a proof"""


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256(0x00 ‖ leaf).

    Examples
    --------
    >>> leaf_hash(b"").hex()
    '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d'

    Source: RFC 9162 section 2.1.1.
    """
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right). Source: RFC 9162 section 2.1.1."""
    return sha256(b"\x01" + left + right).digest()


def peaks(start: int, end: int) -> list[Node]:
    """The complete subtrees that tile the leaves start … end − 1, from left to right.

    Parameters
    ----------
    start, end : the range of a subtree of some tree of RFC 9162: start is a multiple of the smallest power of two
        that is not below end − start

    Examples
    --------
    >>> peaks(0, 7)
    [(2, 0), (1, 2), (0, 6)]
    """
    found = []
    while start < end:
        level = (end - start).bit_length() - 1
        found.append((level, start >> level))
        start += 1 << level
    return found


@dataclass(frozen=True)
class Frontier:
    """What must be known of a tree to append to it: its size, and the hashes of `peaks(0, size)`.

    Examples
    --------
    >>> tree, completed = Frontier().append(leaf_hash(b"a"))
    >>> tree.size, len(completed), tree.root() == leaf_hash(b"a")
    (1, 1, True)
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def append(self, leaf: bytes) -> tuple["Frontier", list[bytes]]:
        """The tree with one more leaf, and the hashes of the subtrees that it completes, of levels 0, 1, 2, …

        Parameters
        ----------
        leaf : the new leaf's hash
        """
        tree, (completed,) = self.extend([leaf])
        return tree, completed

    def extend(self, leaves: Iterable[bytes]) -> tuple["Frontier", list[list[bytes]]]:
        """The tree with more leaves, and of each leaf what `append` gives."""
        hashes, size, all_completed = list(self.hashes), self.size, []
        for leaf in leaves:
            completed = [leaf]
            # A leaf completes as many subtrees above it as its index has one-bits at the end.
            left = size
            while left & 1:
                completed.append(node_hash(hashes.pop(), completed[-1]))
                left >>= 1
            hashes.append(completed[-1])
            all_completed.append(completed)
            size += 1
        return Frontier(size, tuple(hashes)), all_completed

    def root(self) -> bytes:
        """The tree's root hash; of no leaves SHA-256 of nothing."""
        return _join(self.hashes) if self.hashes else EMPTY_ROOT


def inclusion_proof(index: int, size: int, read: Reader) -> list[bytes]:
    """The hashes that lead from a leaf to the root of the tree of `size` leaves, the leaf's sibling first.

    Raises
    ------
    InvalidInput : the tree has no such leaf

    Source: RFC 9162 section 2.1.3.1.
    """
    if not 0 <= index < size:
        raise InvalidInput(
            f"index is {index}, a tree of {size} leaves has the indexes 0 to {size - 1}",
            field="index", got=index, expected=f"0 to {size - 1}",
        )  # fmt: skip
    ranges = []
    start, end = 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start = middle
    return _hashes(reversed(ranges), read)


def consistency_proof(first: int, second: int, read: Reader) -> list[bytes]:
    """The hashes that show that the tree of `first` leaves is the beginning of the one of `second`.

    Raises
    ------
    InvalidInput : first is below 1 or above second

    Source: RFC 9162 section 2.1.4.1.
    """
    if not 0 < first <= second:
        raise InvalidInput(
            f"first is {first} and second {second}; 1 ≤ first ≤ second was expected",
            field="first", got=first, expected=f"1 to {second}",
        )  # fmt: skip
    ranges = []
    start, end, whole = 0, second, True
    while first < end:
        middle = start + _split(end - start)
        if first <= middle:
            ranges.append((middle, end))
            end = middle
        else:
            ranges.append((start, middle))
            start, whole = middle, False
    if not whole:
        ranges.append((start, end))
    return _hashes(reversed(ranges), read)


def root_from_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes]) -> bytes | None:
    """The root that a leaf and its proof lead to; None when the proof has not the length that index and size ask for.

    Source: RFC 9162 section 2.1.3.2.
    """
    if not 0 <= index < size:
        return None
    place, last, made = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return None
        if place & 1 or place == last:
            made = node_hash(sibling, made)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            made = node_hash(made, sibling)
        place, last = place >> 1, last >> 1
    return made if last == 0 else None


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the leaf with this hash is at this index of the tree with this size and root."""
    return root_from_inclusion(index, size, leaf, proof) == root


def verify_consistency(
    first: int, second: int, proof: Sequence[bytes], first_root: bytes, second_root: bytes
) -> bool:
    """Whether the tree of `first` leaves with the first root is the beginning of that of `second` with the second.

    The tree without leaves is the beginning of every tree; that needs no proof, and its root is known.

    Source: RFC 9162 section 2.1.4.2.
    """
    if not 0 <= first <= second:
        return False
    if first == 0:
        return not proof and first_root == EMPTY_ROOT
    if first == second:
        return not proof and first_root == second_root
    path = list(proof)
    if first & (first - 1) == 0:  # the first tree is itself a subtree of the second
        path.insert(0, first_root)
    if not path:
        return False
    place, last = first - 1, second - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    of_first = of_second = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            of_first, of_second = node_hash(sibling, of_first), node_hash(sibling, of_second)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            of_second = node_hash(of_second, sibling)
        place, last = place >> 1, last >> 1
    return last == 0 and of_first == first_root and of_second == second_root


def _hashes(ranges: Iterable[tuple[int, int]], read: Reader) -> list[bytes]:
    """The root of each range of leaves, from the complete subtrees that tile it."""
    tiles = [peaks(*one) for one in ranges]
    known = read([node for tile in tiles for node in tile]) if tiles else {}
    return [_join([known[node] for node in tile]) for tile in tiles]


def _join(hashes: Sequence[bytes]) -> bytes:
    return reduce(lambda right, left: node_hash(left, right), reversed(hashes))


def _split(n: int) -> int:
    """The largest power of two below n, for n ≥ 2."""
    return 1 << ((n - 1).bit_length() - 1)
