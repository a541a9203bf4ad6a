"""Encryption, key rotation, keyed hashes, canonical JSON. Expected values: RFC 8785, RFC 5869 by hmac alone, cryptography itself."""

import base64
import hashlib
import hmac
import struct
from typing import Any

import numpy as np
import pandas as pd
import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from fairlens_backend import compliance_logger, config, key_providers, key_rotator, security_utils
from fairlens_backend.errors import ConfigurationError, InvalidInput, TamperedArtefact
from fairlens_backend.storage import keys
from fairlens_backend.storage.session import unit_of_work
from tests import evidence_kit as kit
from tests.conftest import TEST_SECRETS
from tests.evidence_kit import NOW, TENANT, add

MASTER = base64.urlsafe_b64decode(TEST_SECRETS["FERNET_KEY"])

# RFC 8785, appendix B: the bits of a double and its text.
NUMBERS = [
    ("0000000000000000", "0"), ("8000000000000000", "0"), ("0000000000000001", "5e-324"), ("8000000000000001", "-5e-324"),
    ("7fefffffffffffff", "1.7976931348623157e+308"), ("ffefffffffffffff", "-1.7976931348623157e+308"),
    ("4340000000000000", "9007199254740992"), ("c340000000000000", "-9007199254740992"),
    ("4430000000000000", "295147905179352830000"), ("44b52d02c7e14af5", "9.999999999999997e+22"),
    ("44b52d02c7e14af6", "1e+23"), ("44b52d02c7e14af7", "1.0000000000000001e+23"), ("444b1ae4d6e2ef4e", "999999999999999700000"),
    ("444b1ae4d6e2ef4f", "999999999999999900000"), ("444b1ae4d6e2ef50", "1e+21"), ("3eb0c6f7a0b5ed8c", "9.999999999999997e-7"),
    ("3eb0c6f7a0b5ed8d", "0.000001"), ("41b3de4355555553", "333333333.3333332"), ("41b3de4355555554", "333333333.33333325"),
    ("41b3de4355555555", "333333333.3333333"), ("41b3de4355555556", "333333333.3333334"), ("41b3de4355555557", "333333333.33333343"),
    ("becbf647612f3696", "-0.0000033333333333333333"), ("43143ff3c1cb0959", "1424953923781206.2"),
]  # fmt: skip


def hkdf(purpose: bytes) -> bytes:
    """RFC 5869 with SHA-256, no salt, 32 bytes: one extract, one expand."""
    extracted = hmac.digest(bytes(32), MASTER, "sha256")
    return hmac.digest(extracted, purpose + b"\x01", "sha256")


@pytest.mark.parametrize(("bits", "text"), NUMBERS)
def test_numbers_are_written_as_rfc_8785_appendix_b_does(bits: str, text: str) -> None:
    """Each sample of the appendix."""
    number = struct.unpack(">d", bytes.fromhex(bits))[0]
    assert security_utils.canonical_json(number).decode() == text


def test_the_samples_of_rfc_8785_section_3() -> None:
    """Sections 3.2.2 (literals, strings, numbers) and 3.2.3 (keys by UTF-16 units)."""
    sample = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
        "literals": [None, True, False],
    }
    assert security_utils.canonical_json(sample).decode() == (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    values = [
        "Euro Sign",
        "Carriage Return",
        "Hebrew Letter Dalet With Dagesh",
        "One",
        "Emoji: Grinning Face",
        "Control",
        "Umlaut",
    ]
    keys_in_order = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    names = dict(zip(["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"], values, strict=True))
    pairs = [key for key in keys_in_order]
    written = security_utils.canonical_json(names).decode()
    positions = [written.index(f'"{names[key]}"') for key in pairs]
    assert positions == sorted(positions)


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), 2**53, {1: 2}, {"a": {1}}, "\ud800", np.float32(1)]
)
def test_what_has_no_canonical_json_is_refused(value: Any) -> None:
    """NaN, infinity, integers beyond ±(2⁵³ − 1), keys that are no text, other types."""
    with pytest.raises(InvalidInput):
        security_utils.canonical_json({"value": value})


def test_sha256_is_that_of_fips_180() -> None:
    """The digest of "abc" in FIPS 180-4's examples."""
    assert (
        security_utils.sha256_hex(b"abc")
        == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )


def test_signatures_are_hmac_over_canonical_json_under_a_derived_key(settings: config.Settings) -> None:
    """HMAC-SHA256 of the sorted text under HKDF(master, purpose); key order does not matter, content does."""
    wanted = hmac.digest(hkdf(b"fairlens record signature v1"), b'{"a":"x","b":1.5}', "sha256").hex()
    assert security_utils.sign_record({"b": 1.5, "a": "x"}) == wanted
    assert security_utils.sign_record({"b": 1.5, "a": "y"}) != wanted


def test_what_is_encrypted_can_be_read_by_its_key_only(database: None) -> None:
    """A round trip; the token differs each time; altered or foreign tokens are refused without their content."""
    token = security_utils.encrypt_text("Grüße")
    assert security_utils.decrypt_text(token) == "Grüße"
    assert security_utils.encrypt_text("Grüße") != token
    for wrong in (
        token[:-2] + "AA",
        token[:50],
        "",
        "no token",
        "\u00e9",
        Fernet(Fernet.generate_key()).encrypt(b"x").decode(),
    ):
        with pytest.raises(TamperedArtefact) as caught:
            security_utils.decrypt_text(wrong)
        assert "Grüße" not in str(caught.value)


def test_a_token_without_any_data_key_is_refused_and_makes_none(database: None) -> None:
    """Reading never writes a key."""
    with pytest.raises(TamperedArtefact):
        security_utils.decrypt_text("gAAAAA")
    with unit_of_work():
        assert list(keys.newest_first()) == []


def test_the_master_key_encrypts_no_data(database: None) -> None:
    """Neither the token nor the wrapped key opens with the master key itself; the wrapped one with its derived key."""
    token = security_utils.encrypt_text("text")
    with unit_of_work():
        (row,) = keys.newest_first()
    master = Fernet(TEST_SECRETS["FERNET_KEY"])
    for opened in (token, row.wrapped_key):
        with pytest.raises(Exception):  # noqa: B017  InvalidToken has no message to match
            master.decrypt(opened.encode())
    wrapping = Fernet(base64.urlsafe_b64encode(hkdf(b"fairlens data key wrapping v1")))
    assert (
        Fernet(wrapping.decrypt(row.wrapped_key.encode())).decrypt(token.partition(".")[2].encode())
        == b"text"
    )


def test_a_rotation_encrypts_alerts_again_and_old_tokens_stay_readable(database: None) -> None:
    """Every alert text is under the new key alone; a token kept elsewhere still opens; the new key encrypts from then on."""
    for number in range(1, 4):
        add(number, alert=f"text {number}" if number != 2 else None)
    elsewhere = security_utils.encrypt_text("elsewhere")
    assert key_rotator.rotate_data_now("ann", NOW)["reencrypted"] == 2
    assert key_rotator.rotate_data_now("ann", NOW)["reencrypted"] == 2
    with unit_of_work():
        newest, *older = keys.newest_first()
    assert (len(older), newest.created_by) == (2, "ann")
    wrapping = Fernet(base64.urlsafe_b64encode(hkdf(b"fairlens data key wrapping v1")))
    new_key = Fernet(wrapping.decrypt(newest.wrapped_key.encode()))
    tokens = [row["encrypted_alert"] for row in kit.rows()]
    assert [token and new_key.decrypt(token.removeprefix("k3.").encode()).decode() for token in tokens] == [
        "text 1",
        None,
        "text 3",
    ]
    assert new_key.decrypt(security_utils.encrypt_text("x").removeprefix("k3.").encode()) == b"x"
    assert security_utils.decrypt_text(elsewhere) == "elsewhere"


def test_a_rotation_that_fails_changes_nothing(database: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The new key and every re-encryption are one unit of work."""
    add(1, alert="text")
    before = kit.rows()[0]["encrypted_alert"]
    with pytest.raises(RuntimeError), unit_of_work():
        key_rotator.rotate_data_now("ann", NOW)
        raise RuntimeError
    assert kit.rows()[0]["encrypted_alert"] == before
    with unit_of_work():
        assert len(keys.newest_first()) == 1


def test_a_rotation_leaves_an_altered_token_as_the_evidence_it_is(database: None) -> None:
    """One unreadable token stops no rotation, and stays what it was."""
    for number in (1, 2):
        add(number, alert="text")
    kit.sql("UPDATE fairness_checks SET encrypted_alert = 'altered' WHERE seq = 1")
    assert key_rotator.rotate_data_now("ann", NOW)["reencrypted"] == 1
    assert kit.rows()[0]["encrypted_alert"] == "altered"


def test_other_workers_see_a_rotation_at_once(database: None) -> None:
    """A process that used the old key reads and writes with the new one that another process made."""
    add(1, alert="text")
    assert kit.in_child(lambda: key_rotator.rotate_data_now("other", NOW) and None) == 0
    compliance_logger.publish()
    assert compliance_logger.read_alert_text("rec-1", TENANT, "ann", "::1", NOW)["text"] == "text"
    with unit_of_work():
        assert len(keys.newest_first()) == 2


def test_processes_that_start_together_make_one_first_key(database: None) -> None:
    """Four first uses at once: one data key."""
    import os

    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            os._exit(kit.in_child(lambda: security_utils.load_fernet() and None))
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0, 0]
    with unit_of_work():
        assert len(keys.newest_first()) == 1


def test_another_master_key_is_named_as_the_fault(database: None, make_settings: Any) -> None:
    """With another FERNET_KEY nothing opens, and the message says which setting is wrong."""
    security_utils.encrypt_text("text")
    make_settings(FERNET_KEY=Fernet.generate_key().decode())
    with pytest.raises(ConfigurationError, match="FERNET_KEY"):
        security_utils.encrypt_text("text")


def test_personal_columns_become_keyed_hashes(settings: config.Settings) -> None:
    """HMAC of the value's text under a derived key, not the bare SHA-256; a copy; missing values stay missing."""
    frame = pd.DataFrame({"application_id": [7, 8, 7], "name": ["Ann", None, "Bob"], "kept": [1, 2, 3]})
    before = frame.copy()
    got = security_utils.anonymize_df(frame, cols=["application_id", "name"])
    key = hkdf(b"fairlens personal columns v1")
    assert list(got["application_id"]) == [
        hmac.digest(key, text, "sha256").hex() for text in (b"7", b"8", b"7")
    ]
    assert got["name"][0] == hmac.digest(key, b"Ann", "sha256").hex()
    assert got["name"].isna().tolist() == [False, True, False]
    assert got["application_id"][0] != hashlib.sha256(b"7").hexdigest()
    pd.testing.assert_frame_equal(frame, before)
    assert list(got["kept"]) == [1, 2, 3]
    assert security_utils.anonymize_df(frame)["name"][0] == "Ann"


def test_a_missing_value_does_not_change_the_hashes_of_the_others(settings: config.Settings) -> None:
    """pandas makes integers float when one is missing: 7, 7.0 and "7" give one hash."""
    whole = security_utils.anonymize_df(pd.DataFrame({"application_id": [7, 8]}))
    for column in ([7, None], [np.float32(7), np.nan], ["7", None], pd.array([7, None], dtype="Int64")):
        got = security_utils.anonymize_df(pd.DataFrame({"application_id": column}))["application_id"]
        assert got[0] == whole["application_id"][0]
        assert got.isna().tolist() == [False, True]
    empty = security_utils.anonymize_df(pd.DataFrame({"application_id": []}))
    assert len(empty) == 0


def test_a_column_that_is_not_there_is_named_with_those_that_are(settings: config.Settings) -> None:
    """Missing and doubled columns."""
    with pytest.raises(InvalidInput, match=r"'ssn'.*name, age"):
        security_utils.anonymize_df(pd.DataFrame({"name": ["x"], "age": [1]}), cols=["ssn"])
    with pytest.raises(InvalidInput, match="2 times"):
        security_utils.anonymize_df(pd.DataFrame([[1, 2]], columns=["id", "id"]), cols=["id"])


@given(st.lists(st.text(max_size=20), min_size=1, max_size=20))
def test_equal_values_and_only_those_give_equal_hashes(values: list[str]) -> None:
    """The hash is a function of the value, without collisions."""
    config.use(config.load_settings({"DATA_DIR": "/nonexistent", **TEST_SECRETS}))
    got = list(
        security_utils.anonymize_df(pd.DataFrame({"id": pd.Series(values, dtype=object)}), cols=["id"])["id"]
    )
    for first, first_hash in zip(values, got, strict=True):
        for second, second_hash in zip(values, got, strict=True):
            assert (first == second) == (first_hash == second_hash)


def test_the_master_key_is_asked_for_once(make_settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key service is not called with every record."""
    asked = []

    class Counting(key_providers.EnvironmentKeyProvider):
        def master_key(self) -> bytes:
            asked.append(1)
            return super().master_key()

    monkeypatch.setitem(key_providers.PROVIDERS, "environment", Counting)
    make_settings(FERNET_KEY=Fernet.generate_key().decode())
    for _ in range(3):
        security_utils.sign_record({"a": 1})
    assert asked == [1]
