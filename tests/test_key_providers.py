"""The master key from the environment, from Vault and from AWS KMS. Vault and KMS are listeners on loopback that check what is asked."""

import base64
import json
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from fairlens_backend import config, key_providers
from fairlens_backend.errors import ConfigurationError, Unavailable
from tests.conftest import TEST_SECRETS

KEY = TEST_SECRETS["FERNET_KEY"]
RAW = base64.urlsafe_b64decode(KEY)
TOKEN = "s.a-vault-token"
ARN = "arn:aws:kms:eu-central-1:123456789012:key/6d6c2f0a-1111-2222-3333-444455556666"
CIPHERTEXT = b"what KMS made of the master key"
Answer = Callable[[str, dict[str, str], bytes], tuple[int, Any]]


@contextmanager
def listener(answer: Answer) -> Iterator[str]:
    """Serve on loopback; `answer` gives status and JSON for path, headers (lower case) and body."""

    class Handler(BaseHTTPRequestHandler):
        def reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): text for name, text in self.headers.items()}
            status, value = answer(self.path, headers, body)
            sent = value if isinstance(value, bytes) else json.dumps(value).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/x-amz-json-1.1")
            self.send_header("Content-Length", str(len(sent)))
            if status == 302:
                self.send_header("Location", "/v1/elsewhere")
            self.end_headers()
            self.wfile.write(sent)

        do_GET = do_POST = reply  # noqa: N815  http.server's names

        def log_message(self, *_: Any) -> None:
            """Keep the test's output clean."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def vault(path: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
    """A KV v2 secret as Vault's API documentation shows it."""
    if headers.get("x-vault-token") != TOKEN:
        return 403, {"errors": ["permission denied"]}
    if path != "/v1/secret/data/fairlens":
        return 404, {"errors": []}
    return 200, {"data": {"data": {"fernet_key": KEY}, "metadata": {"version": 3}}}


def test_the_environments_key_is_the_setting(settings: config.Settings) -> None:
    """FERNET_KEY, decoded."""
    assert key_providers.master_key() == RAW


def test_vault_is_asked_with_its_token_at_the_secrets_path(make_settings: Any) -> None:
    """GET /v1/secret/data/fairlens with X-Vault-Token; a slash too many does no harm."""
    with listener(vault) as url:
        for address, path in ((url, "secret/data/fairlens"), (url + "/", "/secret/data/fairlens")):
            given = {"VAULT_ADDR": address, "VAULT_TOKEN": TOKEN, "VAULT_SECRET_PATH": path}
            made = make_settings(KEY_PROVIDER="vault", FERNET_KEY="", **given)
            assert key_providers.VaultKeyProvider(made).master_key() == RAW
            assert key_providers.master_key() == RAW


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"VAULT_TOKEN": "wrong"}, "403"), ({"VAULT_SECRET_PATH": "secret/data/other"}, "404"),
        ({"VAULT_TOKEN": ""}, "VAULT_TOKEN"), ({"VAULT_ADDR": ""}, "VAULT_ADDR"),
    ],
)  # fmt: skip
def test_a_wrong_vault_setting_is_named(make_settings: Any, given: dict[str, str], said: str) -> None:
    """Denied, not found, not set: a sentence with the setting, never with the token."""
    with listener(vault) as url:
        made = make_settings(KEY_PROVIDER="vault", **{"VAULT_ADDR": url, "VAULT_TOKEN": TOKEN, **given})
        with pytest.raises(ConfigurationError, match=said) as caught:
            key_providers.VaultKeyProvider(made).master_key()
        assert TOKEN not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "value", "error"),
    [
        (200, {"data": {"fernet_key": KEY}}, ConfigurationError), (200, {"data": {"data": {"other": KEY}}}, ConfigurationError),
        (200, b"<html>", ConfigurationError), (200, {"data": {"data": {"fernet_key": "short"}}}, ConfigurationError),
        (503, {"errors": ["sealed"]}, Unavailable), (302, {}, Unavailable),
    ],
)  # fmt: skip
def test_an_answer_that_is_no_key_is_refused(
    make_settings: Any, status: int, value: Any, error: type
) -> None:
    """KV v1, another field, HTML, a short key, a sealed Vault; a redirect is not followed, since it would carry the token away."""
    asked = []

    def answer(path: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        asked.append(path)
        return status, value

    with listener(answer) as url:
        made = make_settings(KEY_PROVIDER="vault", VAULT_ADDR=url, VAULT_TOKEN=TOKEN)
        with pytest.raises(error):
            key_providers.VaultKeyProvider(made).master_key()
    assert asked == ["/v1/secret/data/fairlens"]


def test_a_vault_that_is_away_is_unavailable_and_asked_again(make_settings: Any) -> None:
    """A failure is not kept: when Vault is back, the key is there."""
    with listener(vault) as url:
        pass
    make_settings(KEY_PROVIDER="vault", VAULT_ADDR=url, VAULT_TOKEN=TOKEN)
    for _ in range(2):
        with pytest.raises(Unavailable, match="Vault"):
            key_providers.master_key()


def test_kms_without_boto3_says_what_to_install(make_settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The package is an extra: its absence is a sentence, not an ImportError."""
    monkeypatch.setitem(sys.modules, "boto3", None)
    made = make_settings(KEY_PROVIDER="aws_kms", KMS_KEY_ID=ARN, KMS_CIPHERTEXT="AAAA")
    with pytest.raises(ConfigurationError, match=r"fairlens\[aws\]"):
        key_providers.KmsKeyProvider(made).master_key()


@pytest.fixture
def amazon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that are none, so that boto3 signs its requests."""
    pytest.importorskip("boto3", reason="boto3 is not installed (pip install 'fairlens[aws]')")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")


@pytest.mark.parametrize("plain", [RAW, KEY.encode()])
def test_kms_decrypts_the_ciphertext_under_the_named_key(
    amazon: None, make_settings: Any, monkeypatch: pytest.MonkeyPatch, plain: bytes
) -> None:
    """TrentService.Decrypt with ciphertext and key id, in the region of the ARN; the plaintext is the key or its base64."""
    asked = []

    def kms(path: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        asked.append(
            (headers["x-amz-target"], json.loads(body), "/eu-central-1/kms/" in headers["authorization"])
        )
        return 200, {"KeyId": ARN, "Plaintext": base64.b64encode(plain).decode()}

    with listener(kms) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", url)
        ciphertext = base64.b64encode(CIPHERTEXT).decode()
        made = make_settings(KEY_PROVIDER="aws_kms", FERNET_KEY="", KMS_KEY_ID=ARN, KMS_CIPHERTEXT=ciphertext)
        assert key_providers.KmsKeyProvider(made).master_key() == RAW
    assert asked == [("TrentService.Decrypt", {"CiphertextBlob": ciphertext, "KeyId": ARN}, True)]


FOLLOWS = bytes(range(32))
FOLLOWS_TEXT = base64.urlsafe_b64encode(FOLLOWS).decode()


def test_the_key_that_follows_comes_from_where_the_master_key_does(make_settings: Any) -> None:
    """FERNET_KEY_NEXT, or Vault's fernet_key_next; None where it is not there."""
    for given, wanted in (({}, None), ({"FERNET_KEY_NEXT": FOLLOWS_TEXT}, FOLLOWS)):
        make_settings(**given)
        assert key_providers.next_master_key() == wanted
    for more, wanted in (({}, None), ({"fernet_key_next": FOLLOWS_TEXT}, FOLLOWS)):
        secret = {"data": {"data": {"fernet_key": KEY, **more}}}
        with listener(lambda path, headers, body, secret=secret: (200, secret)) as url:
            make_settings(KEY_PROVIDER="vault", FERNET_KEY="", VAULT_ADDR=url, VAULT_TOKEN=TOKEN)
            assert key_providers.next_master_key() == wanted


def test_kms_decrypts_the_key_that_follows(
    amazon: None, make_settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KMS_CIPHERTEXT_NEXT, where it is set."""
    with listener(lambda path, headers, body: (200, {"KeyId": ARN, "Plaintext": FOLLOWS_TEXT})) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", url)
        for given, wanted in (({}, None), ({"KMS_CIPHERTEXT_NEXT": "AAAA"}, FOLLOWS)):
            make_settings(KEY_PROVIDER="aws_kms", FERNET_KEY="", KMS_KEY_ID=ARN, **given)
            assert key_providers.next_master_key() == wanted


def test_kms_refusals_and_bad_settings_are_told_apart(
    amazon: None, make_settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """KMS says no: unavailable; no ciphertext, or no base64: the setting is named."""
    refused = {"__type": "AccessDeniedException", "Message": "no"}
    with listener(lambda path, headers, body: (400, refused)) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", url)
        made = make_settings(KEY_PROVIDER="aws_kms", KMS_KEY_ID=ARN, KMS_CIPHERTEXT="AAAA")
        with pytest.raises(Unavailable, match="KMS"):
            key_providers.KmsKeyProvider(made).master_key()
    for given in (
        {"KMS_KEY_ID": ARN},
        {"KMS_KEY_ID": ARN, "KMS_CIPHERTEXT": "no base64!"},
        {"KMS_CIPHERTEXT": "AAAA"},
    ):
        with pytest.raises(ConfigurationError, match="KMS_CIPHERTEXT"):
            key_providers.KmsKeyProvider(make_settings(KEY_PROVIDER="aws_kms", **given)).master_key()


def test_kms_of_moto_gives_back_what_it_encrypted(
    amazon: None, make_settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another implementation of KMS: the key that was encrypted there comes back."""
    moto = pytest.importorskip("moto", reason="moto is not installed")
    import boto3

    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    with moto.mock_aws():
        client = boto3.client("kms")
        key_id = client.create_key()["KeyMetadata"]["KeyId"]
        encrypted = client.encrypt(KeyId=key_id, Plaintext=KEY.encode())["CiphertextBlob"]
        ciphertext = base64.b64encode(encrypted).decode()
        made = make_settings(KEY_PROVIDER="aws_kms", KMS_KEY_ID=key_id, KMS_CIPHERTEXT=ciphertext)
        assert key_providers.KmsKeyProvider(made).master_key() == RAW


LEDGER = TEST_SECRETS["LEDGER_KEY"]


def test_the_ledgers_key_comes_from_the_same_places(
    make_settings: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    """LEDGER_KEY; the field ledger_key of Vault's secret; a field that is missing is named."""
    raw = base64.urlsafe_b64decode(LEDGER)
    make_settings()
    assert key_providers.ledger_key() == raw != key_providers.master_key()

    def both(path: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        return 200, {"data": {"data": {"fernet_key": KEY, "ledger_key": LEDGER}}}

    with listener(both) as url:
        make_settings(KEY_PROVIDER="vault", VAULT_ADDR=url, VAULT_TOKEN=TOKEN, LEDGER_KEY="", FERNET_KEY="")
        assert (key_providers.ledger_key(), key_providers.master_key()) == (raw, RAW)
    with listener(vault) as url:
        make_settings(KEY_PROVIDER="vault", VAULT_ADDR=url, VAULT_TOKEN=TOKEN, LEDGER_KEY="")
        with pytest.raises(ConfigurationError, match="no field ledger_key"):
            key_providers.ledger_key()


def test_kms_decrypts_the_ledgers_ciphertext(
    amazon: None, make_settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LEDGER_KEY_CIPHERTEXT beside that of the master key, under the same KMS key; without it, it is named."""
    raw = base64.urlsafe_b64decode(LEDGER)

    def kms(path: str, headers: dict[str, str], body: bytes) -> tuple[int, Any]:
        plain = raw if json.loads(body)["CiphertextBlob"] == "TEVER0VS" else RAW
        return 200, {"KeyId": ARN, "Plaintext": base64.b64encode(plain).decode()}

    with listener(kms) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", url)
        given = {"KEY_PROVIDER": "aws_kms", "KMS_KEY_ID": ARN, "KMS_CIPHERTEXT": "AAAA", "LEDGER_KEY": ""}
        make_settings(**given, LEDGER_KEY_CIPHERTEXT="TEVER0VS")
        assert (key_providers.ledger_key(), key_providers.master_key()) == (raw, RAW)
        make_settings(**given)
        with pytest.raises(ConfigurationError, match="LEDGER_KEY_CIPHERTEXT"):
            key_providers.ledger_key()


def test_production_wants_the_ledgers_key_and_says_how_to_make_one() -> None:
    """Not set, or no 32 bytes: the start is refused with the command."""
    for given in ("", "short"):
        with pytest.raises(ConfigurationError, match=r"LEDGER_KEY is not .* Make one with: python -c"):
            config.load_settings({**TEST_SECRETS, "ENVIRONMENT": "production", "LEDGER_KEY": given})


def test_secrets_of_an_earlier_version_gain_the_ledgers_key(tmp_path: Any) -> None:
    """The development file keeps what it has, in its mode, and the new key stays the same from then on."""
    path = tmp_path / config.SECRETS_FILE
    old = "".join(f"{name}={text}\n" for name, text in TEST_SECRETS.items() if name != "LEDGER_KEY")
    path.write_text("# made before\n" + old)
    path.chmod(0o600)
    made = [config.load_settings({"DATA_DIR": str(tmp_path)}) for _ in range(2)]
    assert made[0] == made[1] and len(base64.urlsafe_b64decode(made[0].ledger_key)) == 32
    assert made[0].jwt_secret == TEST_SECRETS["JWT_SECRET"]
    assert path.read_text().startswith("# made before\n" + old) and path.stat().st_mode & 0o777 == 0o600
