"""Checks the signed heads of a bundle: root, time, signature, and what witnesses and timestamp authorities said of them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from fairlens_backend.core.cosignature import WitnessKey
from fairlens_backend.core.signed_note import (
    Checkpoint,
    Signature,
    VerifierKey,
    open_note,
    parse_checkpoint,
    parse_key,
)
from fairlens_backend.core.timestamp_token import proved_time
from fairlens_backend.core.tree_fold import TreeFold
from fairlens_backend.errors import InvalidInput, TamperedArtefact
from fairlens_backend.verifier.lines import Attestation, Head, Wrong, content_of

CLOCKS_APART: Final = timedelta(minutes=5)
"""how much earlier than a head's own time an authority's or a witness's may be: clocks differ"""


@dataclass
class HeadCheck:
    """What the reader of a bundle brings along, and what was found of its heads.

    Parameters
    ----------
    earlier : signed heads of the same ledger that the reader kept from before, as notes
    roots : certificates in PEM of the timestamp authorities that the reader believes; None for none
    witnesses : public keys of the witnesses that the reader knows
    """

    earlier: Sequence[str] = ()
    roots: bytes | None = None
    witnesses: Sequence[WitnessKey] = ()
    origin: str = ""
    seen: int = 0
    last_time: str | None = None
    last_note: str | None = None
    timestamps: int = 0
    cosignatures: int = 0
    _trusted: list[VerifierKey] = field(default_factory=list)
    _announced: list[tuple[VerifierKey, int]] = field(default_factory=list)
    _last_sizes: dict[VerifierKey, int] = field(default_factory=dict)
    _used: set[VerifierKey] = field(default_factory=set)
    _expected: dict[int, Checkpoint] = field(default_factory=dict)
    _unproved: list[tuple[str, Sequence[Signature]]] = field(default_factory=list)
    """earlier heads that are signed by none of the keys that were given: by a later one, perhaps, which the bundle leads to"""
    _forked: Wrong | None = None
    """what counts once these are known to be the ledger's"""
    _last_size: int = 0
    _unread: dict[str, int] = field(default_factory=dict)
    _spoke: set[str] = field(default_factory=set)

    def trust(self, keys: Iterable[VerifierKey]) -> None:
        """Believe these keys, and by them the earlier heads.

        Raises
        ------
        InvalidInput : an earlier head is none, or of another ledger than these keys
        Wrong : two earlier heads contradict each other
        """
        self._trusted += keys
        for note in self.earlier:
            text, signatures = open_note(note)
            one = parse_checkpoint(text)
            if self._signer(text, signatures) is None:
                if one.origin not in {key.name for key in self._trusted}:
                    raise _not_signed()
                self._unproved.append((text, signatures))
            if self._expected.setdefault(one.size, one).root != one.root:
                self._fork(
                    f"The history was forked: two of the earlier heads are of {one.size} entries, and of different ones."
                )

    def cuts(self) -> frozenset[int]:
        """The sizes of the tree at which it is compared with an earlier head."""
        return frozenset(self._expected)

    def announce(self, key: str, size: int) -> None:
        """A new key that the last of `size` entries names: believed once a head that covers it is signed by one that is."""
        try:
            self._announced.append((parse_key(key), size))
        except InvalidInput as error:
            raise Wrong(f"An entry names a new key of the ledger that is none: {error.message}") from error

    def passed(self, fold: TreeFold) -> None:
        """The tree has grown to a size; an earlier head of that size must have its root.

        Raises
        ------
        Wrong : the history was forked
        """
        earlier = self._expected.pop(fold.size, None)
        if earlier is not None and earlier.root != fold.root():
            self._fork(
                f"The history was forked: the first {earlier.size} entries are not those that the earlier head of"
                f" {earlier.time or 'unknown time'} was signed for."
            )

    def check(self, head: Head, fold: TreeFold, latest: str, place: str) -> str:
        """One head, at its place in the bundle; its time.

        Parameters
        ----------
        latest : the time of what stands above it
        place : where it stands, for people

        Raises
        ------
        Wrong : its size, root, time or signature is, or what others said of it
        """
        try:
            text, signatures = open_note(head.head)
            said = parse_checkpoint(text)
        except InvalidInput as error:
            raise Wrong(f"{place.capitalize()} was altered: {error.message}") from error
        who = f"The head of {said.size} entries ({place}, signed {said.time})"
        if said.origin != self.origin:
            raise Wrong(f"{who} is of the ledger {said.origin!r}, the bundle of {self.origin!r}.")
        if said.size != fold.size:
            raise Wrong(
                f"{who} stands after entry {fold.size - 1}: entries were taken out or put in, or it was moved."
            )
        signer = self._signer(text, signatures)
        if signer is None:
            raise self._unsigned(who, signatures)
        if signer in [key for key, _ in self._announced]:
            self._begins(signer)
        if said.size > self._last_sizes.get(signer, said.size):
            raise Wrong(f"{who} is signed by a key that was given up at {self._last_sizes[signer]} entries.")
        if said.root != fold.root():
            raise Wrong(
                f"{who} was signed for other entries: one of {self._last_size} to {said.size - 1} was altered,"
                " or the history was forked."
            )
        if said.time is None or said.time < latest:
            raise Wrong(f"{who} is dated back: what stands above it is of {latest}.")
        self._used.add(signer)
        for key, size in self._announced:
            self._last_sizes |= {
                old: size for old in self._trusted if old not in self._last_sizes and old != key
            }
            self._begins(key)
            self._trusted.append(key)
        self._announced = []
        self.seen, self.last_time, self._last_size = self.seen + 1, said.time, said.size
        self.last_note = head.head
        for one in head.attestations:
            self._attested(one, head.head, text, said, place)
        return said.time

    def not_checked(self) -> list[str]:
        """What could not be checked, and what each would need."""
        found = [f"{n} {what}" for what, n in self._unread.items()]
        found += [
            f"an earlier head of {size} entries: the bundle hides what stands around its end; export again from before it"
            for size in self._expected
        ]
        found += [
            f"no head is cosigned by {one.name}" for one in self.witnesses if one.name not in self._spoke
        ]
        if self.roots is not None and not self.timestamps:
            found.append("no head has a timestamp")
        return found

    def finish(self, size: int) -> None:
        """The whole ledger that was shown has this size.

        Raises
        ------
        InvalidInput : an earlier head is signed by no key that is trusted by now
        Wrong : an earlier head had more entries, or others
        """
        if any(self._signer(text, signatures) is None for text, signatures in self._unproved):
            raise _not_signed()
        if self._forked is not None:
            raise self._forked
        for one in self._expected.values():
            if one.size > size and (one.time or "") > (self.last_time or ""):
                raise Wrong(
                    f"The history was cut, or the bundle is older than an earlier head: that was signed for {one.size} entries at"
                    f" {one.time}, here are {size}, signed at {self.last_time}."
                )
            if one.size > size:
                raise Wrong(
                    f"The history was cut: an earlier head was signed for {one.size} entries, here are {size}."
                )

    def _fork(self, finding: str) -> None:
        self._forked = self._forked or Wrong(finding)
        if not self._unproved:
            raise self._forked

    def _begins(self, key: VerifierKey) -> None:
        """A key that an entry names as the next one: it was not given up when others were, only handed over before its time."""
        if key not in self._used:
            self._last_sizes.pop(key, None)

    def _signer(self, text: str, signatures: Sequence[Signature]) -> VerifierKey | None:
        for key in self._trusted:
            if any(key.verifies(one, text) for one in signatures):
                return key
        return None

    def _unsigned(self, who: str, signatures: Sequence[Signature]) -> Wrong:
        names = {(key.name, key.key_id) for key in self._trusted}
        if any((one.name, one.key_id) in names for one in signatures):
            return Wrong(f"{who} has a wrong signature: it or the signature was altered.")
        others = ", ".join(f"{one.name}+{one.key_id.hex()}" for one in signatures)
        finding = f"{who} is signed by no key that is trusted, but by {others}."
        if not self.seen and any(one.name == self.origin for one in signatures):
            finding += (
                " Where the ledger's key was changed before these audits, `fairlens export-evidence --key` with the key that was given"
                " writes a bundle that leads from it to that one."
            )
        return Wrong(finding)

    def _attested(self, one: Attestation, note: str, text: str, said: Checkpoint, place: str) -> None:
        stated = datetime.fromisoformat(said.time or "").astimezone(UTC)
        if one.kind == "rfc3161":
            if self.roots is None:
                self._count("timestamps: give the authority's root certificate")
                return
            try:
                at = proved_time(content_of(one, place), note.encode(), self.roots)
            except TamperedArtefact as error:
                raise Wrong(
                    f"The timestamp of the head of {said.size} entries is wrong: {error.message}"
                ) from error
            self.timestamps += 1
        elif one.kind == "cosignature":
            found = self._cosigned(one, text, said)
            if found is None:
                self._count(f"cosignatures of {one.name}: give its key")
                return
            at = found
            self.cosignatures += 1
            self._spoke.add(one.name)
        else:
            self._count(f"attestations of the unknown kind {one.kind!r}")
            return
        if at < stated - CLOCKS_APART:
            raise Wrong(
                f"The head of {said.size} entries says that it is of {said.time}; {one.name} saw it at {at.isoformat()}."
            )

    def _cosigned(self, one: Attestation, text: str, said: Checkpoint) -> datetime | None:
        """When a witness says that it saw the head; None where the reader has not the key. A witness may have changed its key."""
        named = [key for key in self.witnesses if key.name == one.name]
        if not named:
            return None
        try:
            _, signatures = open_note(f"{text}\n{one.content}")
        except InvalidInput:
            signatures = []
        by = [(key, each) for each in signatures for key in named if key.key_id == each.key_id]
        if signatures and not by:
            return None
        at = next((at for key, each in by if (at := key.signed_at(each, text))), None)
        if at is None:
            raise Wrong(f"The cosignature of {one.name} on the head of {said.size} entries is wrong.")
        return at

    def _count(self, what: str) -> None:
        self._unread[what] = self._unread.get(what, 0) + 1


def _not_signed() -> InvalidInput:
    return InvalidInput(
        "The earlier head is not signed by the key that was given, nor by one that the bundle leads to from it.",
        field="head",
        expected="a note signed by the ledger's key",
    )
