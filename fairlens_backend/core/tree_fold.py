"""Computes a tree's root from its leaves in order, where some stretches are known by the roots of their subtrees alone.

So a reader who may see only some entries of a log can still compute the root that the log signed.
"""

from collections.abc import Sequence

from fairlens_backend.core.merkle import EMPTY_ROOT, Node, node_hash
from fairlens_backend.errors import InvalidInput

__all__ = ["TreeFold", "tile_hashes", "tiles"]


def tiles(start: int, end: int) -> list[Node]:
    """The fewest complete subtrees (level, index) that tile the leaves start … end − 1, from left to right.

    Examples
    --------
    >>> tiles(3, 12)  # 3 alone, 4–7, 8–11
    [(0, 3), (2, 1), (2, 2)]
    >>> tiles(5, 5)
    []
    """
    found = []
    while start < end:
        level = (end - start).bit_length() - 1
        if start:
            level = min(level, (start & -start).bit_length() - 1)
        found.append((level, start >> level))
        start += 1 << level
    return found


def tile_hashes(start: int, leaves: Sequence[bytes]) -> list[bytes]:
    """The roots of the subtrees of `tiles(start, start + len(leaves))`, by the hashes of their leaves.

    Examples
    --------
    >>> from fairlens_backend.core.merkle import leaf_hash
    >>> a, b, c = (leaf_hash(text) for text in (b"a", b"b", b"c"))
    >>> tile_hashes(1, [a, b, c]) == [a, node_hash(b, c)]
    True
    """
    left: list[bytes] = []
    right: list[bytes] = []
    row = list(leaves)
    while row:
        if start % 2:  # its sibling stands before all of these
            left.append(row.pop(0))
            start += 1
        if len(row) % 2:
            right.append(row.pop())
        row = [node_hash(*pair) for pair in zip(row[::2], row[1::2], strict=True)]
        start //= 2
    return left + right[::-1]


class TreeFold:
    """The tree of the leaves given so far.

    Examples
    --------
    >>> from fairlens_backend.core.merkle import leaf_hash
    >>> a, b, c = (leaf_hash(text) for text in (b"a", b"b", b"c"))
    >>> whole, partly = TreeFold(), TreeFold()
    >>> for one in (a, b, c):
    ...     whole.add_leaf(one)
    >>> partly.add_tiles(2, [node_hash(a, b)])
    >>> partly.add_leaf(c)
    >>> whole.root() == partly.root(), partly.size
    (True, 3)
    """

    def __init__(self) -> None:
        self.size = 0
        self._levels: list[int] = []
        self._hashes: list[bytes] = []

    def add_leaf(self, leaf: bytes) -> None:
        """One more leaf, by its hash."""
        self._add(0, leaf)

    def add_tiles(self, end: int, hashes: Sequence[bytes]) -> None:
        """The leaves up to `end` (not included), by the roots of the subtrees that `tiles(self.size, end)` names.

        Raises
        ------
        InvalidInput : there are not as many hashes as tiles
        """
        wanted = tiles(self.size, end)
        if len(wanted) != len(hashes):
            raise InvalidInput(
                f"{len(hashes)} hashes for the entries {self.size} to {end - 1}; {len(wanted)} were expected",
                field="hashes",
                got=len(hashes),
                expected=str(len(wanted)),
            )
        for (level, _), one in zip(wanted, hashes, strict=True):
            self._add(level, one)

    def root(self) -> bytes:
        """The root of the tree; of no leaves SHA-256 of nothing."""
        if not self._hashes:
            return EMPTY_ROOT
        made = self._hashes[-1]
        for left in reversed(self._hashes[:-1]):
            made = node_hash(left, made)
        return made

    def _add(self, level: int, made: bytes) -> None:
        self.size += 1 << level
        levels, hashes = self._levels, self._hashes
        # Two subtrees of one height are the halves of the next: tiles are aligned, so their order is right.
        while levels and levels[-1] == level:
            made = node_hash(hashes.pop(), made)
            levels.pop()
            level += 1
        levels.append(level)
        hashes.append(made)
