"""Signed notes and checkpoints: the examples that others published, and every form that is none."""

import base64
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fairlens_backend.core import signed_note
from fairlens_backend.core.signed_note import (
    Checkpoint,
    VerifierKey,
    open_note,
    parse_checkpoint,
    parse_key,
    sign_note,
)
from fairlens_backend.errors import InvalidInput

# golang.org/x/mod/sumdb/note, the package's own example: another program's key and signature.
PUBLISHED_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PUBLISHED_NOTE = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
SEED = bytes.fromhex(
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
)  # RFC 8032 section 7.1, test 1
PUBLIC = bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
KEY = Ed25519PrivateKey.from_private_bytes(SEED)
NAME = "fairlens.example.org/ledger"
TIME = "2026-01-02T03:04:05.678901Z"
HEAD = Checkpoint(NAME, 42, sha256(b"root").digest(), TIME)


def test_another_programs_note_verifies() -> None:
    """The published note of Go's note package, by its published key; a letter more and it does not."""
    key = parse_key(PUBLISHED_KEY)
    assert (key.name, key.key_id.hex(), key.text) == ("PeterNeumann", "c74f20a3", PUBLISHED_KEY)
    text, (signature,) = open_note(PUBLISHED_NOTE)
    assert key.verifies(signature, text)
    assert not key.verifies(signature, text + "\n")
    assert f"{text}\n{signature.line}" == PUBLISHED_NOTE


def test_a_note_is_signed_as_the_standard_says() -> None:
    """Text, empty line, em dash, name, base64 of SHA-256(name ‖ newline ‖ 1 ‖ key)[:4] and RFC 8032's signature of the text."""
    note = sign_note(HEAD.text, NAME, KEY)
    key_id = sha256(NAME.encode() + b"\n\x01" + PUBLIC).digest()[:4]
    encoded = base64.b64encode(key_id + KEY.sign(HEAD.text.encode())).decode()
    assert note == f"{HEAD.text}\n— {NAME} {encoded}\n"
    text, (signature,) = open_note(note)
    assert text == HEAD.text and VerifierKey(NAME, PUBLIC).verifies(signature, text)
    for other in (VerifierKey(NAME + "x", PUBLIC), VerifierKey(NAME, PUBLIC[::-1])):
        assert not other.verifies(signature, text)


def test_the_example_of_the_format_is_a_true_one() -> None:
    """The page's head verifies by the page's key, and its root is the hash of the page's entry."""
    page = (Path(__file__).resolve().parents[2] / "docs" / "evidence-format.md").read_text(encoding="utf-8")
    lines = [line.removeprefix("    ") for line in page.splitlines()]
    start = next(place for place, line in enumerate(lines) if line.startswith("— fairlens.example.org")) - 5
    text, (signature,) = open_note("\n".join(lines[start : start + 6]) + "\n")
    key = parse_key(
        next(part for part in page.split("`") if part.startswith("fairlens.example.org/ledger+9"))
    )
    assert key.verifies(signature, text)
    entry = next(line for line in lines if line.startswith('{"body":'))
    assert parse_checkpoint(text).root == sha256(b"\x00" + entry.encode()).digest()


def test_a_checkpoint_is_three_lines_and_its_time() -> None:
    """Origin, size, base64 of the root; the time as an extension line, and none without a time."""
    root = base64.b64encode(HEAD.root).decode()
    assert HEAD.text == f"{NAME}\n42\n{root}\ntime {TIME}\n"
    assert parse_checkpoint(HEAD.text) == HEAD
    without = Checkpoint(NAME, 0, HEAD.root)
    assert without.text == f"{NAME}\n0\n{root}\n" and parse_checkpoint(without.text) == without


ROOT = base64.b64encode(HEAD.root).decode()


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", f"{NAME}\n42\n{ROOT}", f"{NAME}\n42\n", f"\n42\n{ROOT}\n", f"{NAME}\n042\n{ROOT}\n", f"{NAME}\n-1\n{ROOT}\n",
        f"{NAME}\n+1\n{ROOT}\n", f"{NAME}\n4２\n{ROOT}\n", f"{NAME}\n1e3\n{ROOT}\n", f"{NAME}\n42\n{ROOT[:-4]}\n", f"{NAME}\n42\n{ROOT} \n",
        f"{NAME}\n42\n{ROOT}\n\n", f"{NAME}\n42\n{ROOT}\nmore\n", f"{NAME}\n42\n{ROOT}\ntime {TIME}\nmore\n",
        f"{NAME}\n42\n{ROOT}\ntime 2026-01-02T03:04:05Z\n", f"{NAME}\n42\n{ROOT}\ntime \n", f"{NAME}\n42\nAA==\n", "a\n1\n2\n3\n4\n5\n",
        f"{NAME}\n99999999999999999999\n{ROOT}\n",
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    """Any other spelling of the size or the root, another extension, a line too few or too many."""
    with pytest.raises(InvalidInput, match="not a signed tree head"):
        parse_checkpoint(text)


@pytest.mark.parametrize(
    "note",
    [
        "", "text\n", "text\n\n", "text\n\nno signature\n", f"text\n\n— {NAME} AAAA", f"text\n\n— {NAME} AAAA\n", f"text\n\n- {NAME} AAAAAAAA\n",
        f"text\n\n— {NAME} AAAAAAA\n", "text\n\n— a b AAAAAAAA\n", "text\n\n— a+b AAAAAAAA\n", f"text\n\n— {NAME} AAAAAAAA\n\n",
        f"text\n\n— {NAME} AAAAAAAA\nmore\n",
    ],
)  # fmt: skip
def test_what_is_no_note_is_refused(note: str) -> None:
    """Without an empty line, without signature lines, or with lines that are none."""
    with pytest.raises(InvalidInput, match="not a signed tree head"):
        open_note(note)


@pytest.mark.parametrize(
    "text", ["", "name", "a+b+c", PUBLISHED_KEY[:-4], PUBLISHED_KEY.replace("c74", "c75"), PUBLISHED_KEY.replace("+AR", "+BB"),
             PUBLISHED_KEY.replace("Peter", "Paul"), "+c74f20a3+ARpc", "é+\x00+=="],
)  # fmt: skip
def test_what_is_no_key_is_refused(text: str) -> None:
    """Another id than the key's, another kind of key, no base64; the error says where keys come from."""
    with pytest.raises(InvalidInput, match="not a public key"):
        parse_key(text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\u2028b", "a\x00"])
def test_a_name_that_no_line_can_carry_is_refused(name: str) -> None:
    """Spaces, plus signs and control characters; other text is a name."""
    with pytest.raises(InvalidInput, match="cannot name a key"):
        signed_note.check_name(name)
    signed_note.check_name("fairlens.example.org/ledger-é")
