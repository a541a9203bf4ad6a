"""The Merkle tree: published roots and proofs, and the definitions of RFC 9162 spelled out by recursion over whole lists."""

import random
from collections.abc import Iterable, Mapping
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlens_backend.core import merkle
from fairlens_backend.core.merkle import Frontier, Node
from fairlens_backend.errors import InvalidInput

# The eight leaves of certificate-transparency's own tests (merkletree/merkle_tree_test.cc, trillian's testonly), with the roots
# of the trees of the first one to eight of them.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
    )
]  # fmt: skip
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
PATHS = [  # (leaf from 1, size, path) of the same tests
    (1, 8, ["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"]),
    (6, 8, ["bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"]),
    (3, 3, ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"]),
    (2, 5, ["6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"]),
]  # fmt: skip
CONSISTENCY = [
    (1, 1, []),
    (1, 8, ["96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4"]),
    (6, 8, ["0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"]),
    (2, 5, ["5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b"]),
]  # fmt: skip
SIZES = st.integers(1, 70)


def largest_power_below(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


def mth(leaves: list[bytes]) -> bytes:
    """MTH of RFC 9162 section 2.1.1."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\x00" + leaves[0]).digest()
    k = largest_power_below(len(leaves))
    return sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    """PATH of section 2.1.3.1."""
    if len(leaves) == 1:
        return []
    k = largest_power_below(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: list[bytes], whole: bool) -> list[bytes]:
    """SUBPROOF of section 2.1.4.1."""
    if m == len(leaves):
        return [] if whole else [mth(leaves)]
    k = largest_power_below(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


class Kept:
    """A tree as it is kept: the hashes of complete subtrees by the entry that completed them."""

    def __init__(self, leaves: Iterable[bytes]) -> None:
        self.tree, self.nodes = Frontier(), dict[Node, bytes]()
        for place, leaf in enumerate(leaves):
            self.tree, completed = self.tree.append(merkle.leaf_hash(leaf))
            for level, made in enumerate(completed):
                self.nodes[level, ((place + 1) >> level) - 1] = made

    def read(self, nodes: Iterable[Node]) -> Mapping[Node, bytes]:
        return {node: self.nodes[node] for node in nodes}


def some_leaves(n: int) -> list[bytes]:
    return [place.to_bytes(2, "big") for place in range(n)]


def test_published_roots() -> None:
    """The roots that certificate-transparency's tests know, of no leaf and of one to eight."""
    assert merkle.EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert [Kept(LEAVES[:n]).tree.root().hex() for n in range(1, 9)] == ROOTS
    assert Frontier().root() == merkle.EMPTY_ROOT


@pytest.mark.parametrize(("leaf", "size", "wanted"), PATHS)
def test_published_inclusion_proofs(leaf: int, size: int, wanted: list[str]) -> None:
    """The same tests' audit paths, made and verified."""
    proof = merkle.inclusion_proof(leaf - 1, size, Kept(LEAVES).read)
    assert [one.hex() for one in proof] == wanted
    own = sha256(b"\x00" + LEAVES[leaf - 1]).digest()
    assert merkle.verify_inclusion(leaf - 1, size, own, proof, bytes.fromhex(ROOTS[size - 1]))


@pytest.mark.parametrize(("first", "second", "wanted"), CONSISTENCY)
def test_published_consistency_proofs(first: int, second: int, wanted: list[str]) -> None:
    """The same tests' consistency proofs, made and verified."""
    proof = merkle.consistency_proof(first, second, Kept(LEAVES).read)
    assert [one.hex() for one in proof] == wanted
    roots = [bytes.fromhex(ROOTS[size - 1]) for size in (first, second)]
    assert merkle.verify_consistency(first, second, proof, *roots)


@given(SIZES)
def test_roots_are_those_of_the_definition(n: int) -> None:
    """Appending leaf by leaf gives MTH of the whole list, and `peaks` names subtrees that tile it."""
    kept, leaves = Kept(some_leaves(n)), some_leaves(n)
    assert kept.tree.root() == mth(leaves)
    covered = [place for level, i in merkle.peaks(0, n) for place in range(i << level, (i + 1) << level)]
    assert covered == list(range(n))
    for (level, index), made in kept.nodes.items():
        assert made == mth(leaves[index << level : (index + 1) << level])


@given(SIZES.flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n))))
def test_inclusion_proofs_are_those_of_the_definition(case: tuple[int, int]) -> None:
    """PATH by recursion, also in an earlier tree of a longer log; each verifies and leads to the root."""
    index, n = case
    leaves = some_leaves(n)
    proof = merkle.inclusion_proof(index, n, Kept(some_leaves(n + 9)).read)
    assert proof == path(index, leaves)
    assert merkle.verify_inclusion(index, n, merkle.leaf_hash(leaves[index]), proof, mth(leaves))


@given(SIZES.flatmap(lambda n: st.tuples(st.integers(1, n), st.just(n))))
def test_consistency_proofs_are_those_of_the_definition(case: tuple[int, int]) -> None:
    """SUBPROOF by recursion; each verifies."""
    first, second = case
    leaves = some_leaves(second)
    proof = merkle.consistency_proof(first, second, Kept(leaves).read)
    assert proof == (subproof(first, leaves, True))
    assert merkle.verify_consistency(first, second, proof, mth(leaves[:first]), mth(leaves))


def test_nothing_else_verifies() -> None:
    """Of 3,000 changes to index, size, leaf, proof or root of sound inclusion proofs none passes as another tree's leaf."""
    rng = random.Random(9162)
    kept = Kept(some_leaves(64))
    roots = {n: mth(some_leaves(n)) for n in range(1, 65)}
    for _ in range(3_000):
        n = rng.randint(1, 64)
        index = rng.randrange(n)
        proof = merkle.inclusion_proof(index, n, kept.read)
        leaf, root = merkle.leaf_hash(some_leaves(64)[index]), roots[n]
        claimed = [index, n, leaf, list(proof), root]
        kind = rng.choice(["index", "size", "leaf", "flip", "drop", "add", "swap", "root"])
        if kind == "index":
            claimed[0] = rng.choice([place for place in range(-1, n + 2) if place != index])
        elif kind == "size":
            # The path of a leaf may be right for several sizes of one shape; the root is not.
            claimed[1] = rng.choice([size for size in range(66) if size != n])
            claimed[4] = roots.get(int(claimed[1]), root)  # type: ignore[call-overload]
        elif kind == "leaf":
            claimed[2] = merkle.node_hash(leaf, leaf)
        elif kind == "root":
            claimed[4] = merkle.node_hash(root, root)
        elif not proof:
            claimed[3] = [leaf]
        elif kind == "flip":
            place = rng.randrange(len(proof))
            claimed[3][place] = bytes([proof[place][0] ^ 1]) + proof[place][1:]  # type: ignore[index]
        elif kind == "drop":
            del claimed[3][rng.randrange(len(proof))]  # type: ignore[attr-defined]
        elif kind == "add":
            claimed[3].insert(rng.randrange(len(proof) + 1), rng.randbytes(32))  # type: ignore[attr-defined]
        elif len(proof) > 1:
            claimed[3][0], claimed[3][-1] = claimed[3][-1], claimed[3][0]  # type: ignore[index]
        else:
            continue
        assert not merkle.verify_inclusion(*claimed), (kind, index, n)  # type: ignore[arg-type]


def test_a_forked_history_is_not_consistent() -> None:
    """For every pair of sizes up to 32: a changed leaf among the first ones, a shifted size, or a cut proof is found."""
    leaves = some_leaves(32)
    roots = {n: mth(leaves[:n]) for n in range(33)}
    kept = Kept(leaves)
    for second in range(2, 33):
        for first in range(1, second):
            proof = merkle.consistency_proof(first, second, kept.read)
            forked = mth([b"forged", *leaves[1:first]])
            assert not merkle.verify_consistency(first, second, proof, forked, roots[second])
            assert not merkle.verify_consistency(first, second, proof, roots[first], forked)
            assert not merkle.verify_consistency(first, second, proof[:-1], roots[first], roots[second])
            assert not merkle.verify_consistency(first, second, [*proof, forked], roots[first], roots[second])
            assert not merkle.verify_consistency(second, first, proof, roots[second], roots[first])


def test_the_empty_tree_is_the_beginning_of_every_tree() -> None:
    """It needs no proof; another root than its own, or a proof, is refused. A tree is consistent with itself alone."""
    root = mth(LEAVES)
    assert merkle.verify_consistency(0, 8, [], merkle.EMPTY_ROOT, root)
    assert not merkle.verify_consistency(0, 8, [], root, root)
    assert not merkle.verify_consistency(0, 8, [root], merkle.EMPTY_ROOT, root)
    assert merkle.verify_consistency(8, 8, [], root, root)
    assert not merkle.verify_consistency(8, 8, [], merkle.EMPTY_ROOT, root)
    assert not merkle.verify_consistency(5, 8, [], root, root)


def test_a_leaf_and_a_tree_that_do_not_exist() -> None:
    """The error names what came and what there is."""
    with pytest.raises(InvalidInput, match="index is 8, a tree of 8 leaves"):
        merkle.inclusion_proof(8, 8, Kept(LEAVES).read)
    with pytest.raises(InvalidInput, match="first is 0"):
        merkle.consistency_proof(0, 8, Kept(LEAVES).read)
    with pytest.raises(InvalidInput, match="first is 9"):
        merkle.consistency_proof(9, 8, Kept(LEAVES).read)
