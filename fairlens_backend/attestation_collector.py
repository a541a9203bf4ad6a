"""Has others speak of this ledger's heads: witnesses cosign them, a timestamp authority stamps them.

What they say is checked before it is kept. One who is away or refuses stops neither the others nor the ledger: it is said in
the log, and asked again later.
"""

import base64
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import requests

from fairlens_backend import config, ledger_keeper, ledger_reader, telemetry, timestamp_authority
from fairlens_backend.core.cosignature import WitnessKey, parse_witness_key
from fairlens_backend.core.signed_note import open_note
from fairlens_backend.errors import (
    ConfigurationError,
    FairLensError,
    InvalidInput,
    TamperedArtefact,
    Unavailable,
)
from fairlens_backend.storage import ledger_heads
from fairlens_backend.storage.ledger_tables import LedgerHead
from fairlens_backend.storage.session import read_snapshot, unit_of_work

TIMEOUT_S: Final = 10
MAX_ANSWER_BYTES: Final = 10_000
AGAIN: Final = timedelta(seconds=60)
"""after which one who was away or refused is asked again"""
COSIGNATURE, TIMESTAMP = "cosignature", "rfc3161"
AUTHORITY: Final = "timestamp authority"

_failed: dict[str, datetime] = {}


@dataclass(frozen=True)
class Witness:
    """Where a witness is, and by which key it is known."""

    url: str
    key: WitnessKey


def witnesses() -> list[Witness]:
    """Those of LEDGER_WITNESSES.

    Raises
    ------
    ConfigurationError : a part of the setting is not URL and KEY
    """
    found = []
    for part in config.words(config.current().ledger_witnesses):
        url, _, key = part.partition(" ")
        try:
            if not url.startswith(("https://", "http://")):
                raise InvalidInput(f"{url[:100]!r} is no address", field="LEDGER_WITNESSES")
            found.append(Witness(url.rstrip("/"), parse_witness_key(key)))
        except InvalidInput as error:
            raise ConfigurationError(
                f"LEDGER_WITNESSES: {error.message}", field="LEDGER_WITNESSES"
            ) from error
    return found


def require_valid() -> None:
    """Check at the start what is set of witnesses and of the authority: else it fails at every tick, and is found too late.

    Raises
    ------
    ConfigurationError : one of them is not as described, or the authority's certificates cannot be read
    """
    witnesses()
    if config.current().timestamp_url:
        timestamp_authority.require_valid()


def collect(now: datetime) -> dict[str, int]:
    """Ask whoever is due about the newest head; how many spoke, and how many could not be had. For the clock."""
    done = {"attested": 0, "failed": 0}
    settings = config.current()
    due: list[tuple[str, str, float, Witness | None]] = [
        (one.key.name, COSIGNATURE, settings.witness_interval_s, one)
        for one in (witnesses() if settings.ledger_witnesses else ())
    ]
    if settings.timestamp_url:
        due.append((AUTHORITY, TIMESTAMP, settings.timestamp_interval_s, None))
    for name, kind, interval_s, witness in due:
        with read_snapshot():
            head = ledger_heads.newest()
            last = ledger_heads.last_attested(kind, name)
        if head is None or not _is_due(head, last, interval_s, now) or now < _failed.get(name, now):
            continue
        try:
            content = (
                timestamp_authority.stamp(head.note.encode())[0]
                if witness is None
                else _ask(witness, head, last)
            )
        except FairLensError as error:
            _failed[name] = now + AGAIN
            done["failed"] += 1
            telemetry.log(
                "HEAD_NOT_ATTESTED", level="warning", by=name, tree_size=head.tree_size, reason=error.message
            )
            continue
        with unit_of_work():
            ledger_heads.add_attestation(head.id, kind, name, telemetry.timestamp(now), content)
        done["attested"] += 1
        telemetry.log("HEAD_ATTESTED", by=name, kind=kind, tree_size=head.tree_size)
    return done


def _is_due(head: LedgerHead, last: tuple[str, int] | None, interval_s: float, now: datetime) -> bool:
    """Whether there is a head that was not spoken of, and the last one that was is old enough."""
    if last is None:
        return True
    at, size = last
    return head.tree_size > size and now - ledger_keeper.moment(at) >= timedelta(seconds=interval_s)


def _ask(witness: Witness, head: LedgerHead, last: tuple[str, int] | None) -> bytes:
    """The witness's cosignature line of a head."""
    old_size = 0 if last is None else last[1]
    status, answer = _post(witness, _body(old_size, head))
    if status == requests.codes.conflict and answer.strip().isdigit():
        # It knows more of this ledger than is kept here, as after a restore; or a larger tree than this ledger has.
        known = int(answer)
        if known > head.tree_size:
            raise TamperedArtefact(
                f"The witness has cosigned a head of {known} entries, this ledger has {head.tree_size}: entries are gone."
            )
        status, answer = _post(witness, _body(known, head))
    if status != requests.codes.ok:
        raise Unavailable(f"The witness answered {status}.", retry_after_s=60)
    text, _ = open_note(head.note)
    try:
        _, given = open_note(f"{text}\n{answer}")
    except InvalidInput:
        given = []
    mine = [one for one in given if witness.key.signed_at(one, text) is not None]
    if not mine:
        raise TamperedArtefact("The witness's answer is no cosignature of this head by its key.")
    return mine[0].line.encode()


def _body(old_size: int, head: LedgerHead) -> bytes:
    proof = []
    if 0 < old_size < head.tree_size:
        found = ledger_reader.consistency(old_size, head.tree_size)
        proof = [base64.b64encode(bytes.fromhex(one)).decode() for one in found["hashes"]]
    return "\n".join([f"old {old_size}", *proof, "", head.note]).encode()


def _post(witness: Witness, body: bytes) -> tuple[int, str]:
    try:
        with requests.post(
            f"{witness.url}/add-checkpoint",
            data=body,
            headers={"Content-Type": "text/plain; charset=utf-8"},
            timeout=TIMEOUT_S,
            stream=True,
            allow_redirects=False,
        ) as answer:
            content = answer.raw.read(MAX_ANSWER_BYTES, decode_content=True)
            return answer.status_code, content.decode("utf-8", "replace")
    except (requests.RequestException, OSError) as error:
        raise Unavailable(
            f"The witness does not answer ({type(error).__name__}).", retry_after_s=60
        ) from error
