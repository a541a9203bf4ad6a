"""A witness cosigns what continues the head it cosigned before, and nothing else; a ledger collects what others say of it."""

import base64
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fairlens_backend import attestation_collector, config, ledger_keeper, ledger_witness
from fairlens_backend.core.cosignature import parse_witness_key
from fairlens_backend.core.merkle import consistency_proof, leaf_hash, node_hash
from fairlens_backend.core.signed_note import Checkpoint, VerifierKey, open_note, sign_note
from fairlens_backend.errors import ConfigurationError, InvalidInput, MalformedInput, NotAllowed, NotFound
from fairlens_backend.ledger_witness import AnotherSize
from fairlens_backend.storage import ledger_heads
from fairlens_backend.storage.session import read_snapshot
from fairlens_backend.verifier.bundle import verify_bundle
from fairlens_backend.verifier.heads import HeadCheck
from tests import timestamp_server
from tests.ledger_kit import at, audit
from tests.live_server import LiveServer, live_server
from tests.verifier.test_bundle import exported

ORIGIN = "log.example/ledger"
NOW = at(0)


class ForeignLog:
    """A ledger of somebody else, kept as a list of leaves."""

    def __init__(self, origin: str = ORIGIN, salt: str = "") -> None:
        self.private = Ed25519PrivateKey.from_private_bytes(bytes(31) + b"\1")
        self.key = VerifierKey(origin, self.private.public_key().public_bytes_raw())
        self.salt = salt

    def hash(self, level: int, index: int) -> bytes:
        """The root of a complete subtree."""
        if level == 0:
            return leaf_hash(f"{self.salt}{index}".encode())
        return node_hash(self.hash(level - 1, 2 * index), self.hash(level - 1, 2 * index + 1))

    def root(self, size: int) -> bytes:
        """By the recursion of RFC 9162 section 2.1.1."""

        def of(start: int, end: int) -> bytes:
            if end - start == 1:
                return self.hash(0, start)
            split = 1
            while split * 2 < end - start:
                split *= 2
            return node_hash(of(start, start + split), of(start + split, end))

        return of(0, size)

    def head(self, size: int) -> str:
        """Its signed head."""
        text = Checkpoint(self.key.name, size, self.root(size), "2026-03-02T00:00:00.000000Z").text
        return sign_note(text, self.key.name, self.private)

    def request(self, old: int, size: int, proof: list[bytes] | None = None) -> bytes:
        """What it sends to a witness."""
        if proof is None:
            read = lambda nodes: {node: self.hash(*node) for node in nodes}  # noqa: E731
            proof = consistency_proof(old, size, read) if 0 < old <= size else []
        lines = [f"old {old}", *(base64.b64encode(one).decode() for one in proof), "", self.head(size)]
        return "\n".join(lines).encode()


@pytest.fixture
def log(database: Any) -> ForeignLog:
    """A ledger that is witnessed here."""
    made = ForeignLog()
    config.use(
        replace(config.current(), witness_logs=f"{made.key.text}, {ForeignLog('second.example').key.text}")
    )
    return made


def cosigned(log: ForeignLog, line: str, size: int) -> datetime | None:
    """When this server cosigned the head, by the line that it gave."""
    text, _ = open_note(log.head(size))
    (signature,) = open_note(f"{text}\n{line}")[1]
    return ledger_witness.witness_key(NOW).signed_at(signature, text)


def test_heads_that_continue_are_cosigned(log: ForeignLog) -> None:
    """The first head as it is, each later one by its proof, the same one again too."""
    for old, size in ((0, 3), (3, 8), (8, 8), (8, 1000)):
        line = ledger_witness.add_checkpoint(log.request(old, size), NOW)
        assert cosigned(log, line, size) == NOW


def test_each_ledger_has_its_own_history(log: ForeignLog) -> None:
    """What was cosigned of one says nothing of another."""
    ledger_witness.add_checkpoint(log.request(0, 9), NOW)
    ledger_witness.add_checkpoint(ForeignLog("second.example").request(0, 4), NOW)
    with pytest.raises(AnotherSize) as known:
        ledger_witness.add_checkpoint(ForeignLog("second.example").request(9, 10), NOW)
    assert known.value.known_size == 4


def test_a_fork_is_not_cosigned(log: ForeignLog) -> None:
    """Another history, larger or of the same size, under the same true key, gets no signature, and changes nothing."""
    ledger_witness.add_checkpoint(log.request(0, 6), NOW)
    fork = ForeignLog(salt="fork")
    with pytest.raises(InvalidInput, match="does not lead from the tree of 6 entries to that of 9"):
        ledger_witness.add_checkpoint(fork.request(6, 9), NOW)
    with pytest.raises(AnotherSize):
        ledger_witness.add_checkpoint(fork.request(6, 6), NOW)
    ledger_witness.add_checkpoint(log.request(6, 9), NOW)


def test_a_sender_who_is_behind_is_told_the_size(log: ForeignLog) -> None:
    """The answer says which head was cosigned last, so that the next request can begin there."""
    ledger_witness.add_checkpoint(log.request(0, 5), NOW)
    with pytest.raises(AnotherSize) as known:
        ledger_witness.add_checkpoint(log.request(0, 7), NOW)
    assert known.value.known_size == 5


@pytest.mark.parametrize(
    "body",
    [b"", b"old 3", b"old -1\n\nx\n", b"old 03\n\nx", b"\xff", b"old 0\nhash\n\nnote\n", b"new 0\n\n"],
)
def test_bodies_that_cannot_be_read(log: ForeignLog, body: bytes) -> None:
    """Each is said to be malformed, none is an error of the server."""
    with pytest.raises(MalformedInput):
        ledger_witness.add_checkpoint(body, NOW)


def test_wrong_requests(log: ForeignLog) -> None:
    """A ledger that is not witnessed, a head that its key did not sign, a ledger that shrinks, a wrong proof."""
    with pytest.raises(NotFound, match="unknown"):
        ledger_witness.add_checkpoint(ForeignLog("unknown.example").request(0, 3), NOW)
    stranger = ForeignLog()
    stranger.private = Ed25519PrivateKey.generate()
    with pytest.raises(NotAllowed):
        ledger_witness.add_checkpoint(stranger.request(0, 3), NOW)
    with pytest.raises(MalformedInput, match="does not shrink"):
        ledger_witness.add_checkpoint(log.request(7, 3), NOW)
    ledger_witness.add_checkpoint(log.request(0, 3), NOW)
    with pytest.raises(InvalidInput):
        ledger_witness.add_checkpoint(log.request(3, 7, proof=[]), NOW)


def test_a_witness_that_is_set_wrong_is_named(database: Any) -> None:
    """The setting says what each part must be."""
    config.use(replace(config.current(), ledger_witnesses="https://w.example nonsense"))
    with pytest.raises(ConfigurationError, match=r"LEDGER_WITNESSES.*witness's key"):
        attestation_collector.witnesses()


def test_who_is_away_is_asked_again_later(database: Any) -> None:
    """Nothing is kept, nothing fails, and the next try comes after a minute, not at every tick."""
    audit(0)
    key = ledger_witness.witness_key(NOW).text
    config.use(replace(config.current(), ledger_witnesses=f"http://127.0.0.1:9/w {key}"))
    assert attestation_collector.collect(at(1)) == {"attested": 0, "failed": 1}
    assert attestation_collector.collect(at(1)) == {"attested": 0, "failed": 0}
    assert attestation_collector.collect(at(2.1)) == {"attested": 0, "failed": 1}


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LiveServer, str]]:
    """A second FairLens that witnesses the ledger of the tests, and its key."""
    from tests.conftest import TEST_SECRETS

    seed = Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(TEST_SECRETS["LEDGER_KEY"]))
    name = _origin_of(seed)
    log = VerifierKey(name, seed.public_key().public_bytes_raw()).text
    with live_server(
        tmp_path_factory.mktemp("second"),
        WITNESS_LOGS=log,
        LEDGER_KEY=base64.urlsafe_b64encode(bytes(31) + b"\2").decode(),
    ) as server:
        status, answer = server.call("GET", "/v1/ledger/witness", token=server.login())
        assert status == 200 and answer["data"]["logs"] == [log]
        yield server, answer["data"]["key"]


def _origin_of(seed: Ed25519PrivateKey) -> str:
    from hashlib import sha256

    return "fairlens-" + sha256(seed.public_key().public_bytes_raw()).hexdigest()[:16] + "/ledger"


def test_a_second_server_and_an_authority_speak_of_heads(
    database: Any, second: tuple[LiveServer, str], tmp_path: Path
) -> None:
    """Two heads, each cosigned by the other server over HTTP and stamped by the authority; a bundle's reader sees both, and
    one who forks the history does not get the witness's signature."""
    server, key = second
    if timestamp_server.why_absent():
        pytest.skip(str(timestamp_server.why_absent()))
    with timestamp_server.running(tmp_path / "authority") as authority:
        config.use(
            replace(
                config.current(),
                ledger_witnesses=f"{server.url}/v1/ledger/witness {key}",
                timestamp_url=authority.url,
                timestamp_roots=str(authority.roots),
            )
        )
        audit(20)
        assert attestation_collector.collect(at(21)) == {"attested": 2, "failed": 0}
        assert attestation_collector.collect(at(22)) == {"attested": 0, "failed": 0}
        for minutes in range(30, 90, 7):
            audit(minutes, seed=1)
        assert attestation_collector.collect(at(21) + timedelta(hours=1)) == {"attested": 2, "failed": 0}
        lines = exported()
        roots = authority.roots.read_bytes()
    witness = parse_witness_key(key)
    trusted = [ledger_keeper.ensure_key(NOW)]
    verdict = verify_bundle(lines, trusted, HeadCheck(roots=roots, witnesses=[witness]))
    assert verdict.finding is None
    # The heads of the tests are dated months before the true clocks of witness and authority, which is no fault.
    assert verdict.cosignatures == verdict.timestamps == 2
    # Of the heads nothing is left unchecked; intervals were not asked for.
    assert ["--intervals" in one for one in verdict.not_checked] == [True]
    bare = verify_bundle(lines, trusted)
    assert bare.ok and any("cosignatures" in one for one in bare.not_checked)
    broken = [line.replace(b'"kind":"cosignature"', b'"kind":"cosignature" ') for line in lines]
    assert not verify_bundle(broken, trusted).ok
    with read_snapshot():
        newest = ledger_heads.newest()
        assert newest is not None
        note = newest.note
    body = f"old 0\n\n{note}".encode()
    status, _ = _post(server, body)
    assert status == 409


def test_what_the_witness_refuses_over_http(second: tuple[LiveServer, str], database: Any) -> None:
    """A body that is not text, and one that cannot be read, get the envelope and a status that says so."""
    server, _ = second
    path = "/v1/ledger/witness/add-checkpoint"
    assert server.call("POST", path, {"old": 0})[0] == 415
    status, answer = server.call("POST", path, b"old x", headers={"Content-Type": "text/plain"})
    assert status == 400 and answer["error"]["code"] == "malformed_input"
    unknown = ForeignLog("unknown.example").request(0, 3)
    assert server.call("POST", path, unknown, headers={"Content-Type": "text/plain"})[0] == 404


def _post(server: LiveServer, body: bytes) -> tuple[int, str]:
    import requests

    answer = requests.post(
        f"{server.url}/v1/ledger/witness/add-checkpoint",
        data=body,
        headers={"Content-Type": "text/plain"},
        timeout=30,
    )
    return answer.status_code, answer.text
