"""Where the master key and the ledger's first signing key live: the environment, AWS KMS or HashiCorp Vault. One class each."""

import base64
import binascii
from functools import lru_cache
from typing import Protocol

import requests

from fairlens_backend import config, telemetry
from fairlens_backend.config import Settings
from fairlens_backend.errors import ConfigurationError, Unavailable

KEY_BYTES = 32
TIMEOUT_S = 10


class KeyProvider(Protocol):
    """Gives keys of 32 bytes; ConfigurationError when a setting is wrong, Unavailable when the service is away."""

    def master_key(self) -> bytes:
        """The key that wraps the others."""

    def next_master_key(self) -> bytes | None:
        """The master key that is to follow; None but for the time of a change."""

    def ledger_key(self) -> bytes:
        """The seed of the Ed25519 key that signs the ledger's heads until it is rotated."""


class EnvironmentKeyProvider:
    """The keys are the settings FERNET_KEY and LEDGER_KEY."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def master_key(self) -> bytes:
        """The key's 32 bytes."""
        return _key_bytes(self.settings.fernet_key, "FERNET_KEY")

    def next_master_key(self) -> bytes | None:
        """FERNET_KEY_NEXT, where it is set."""
        given = self.settings.fernet_key_next
        return _key_bytes(given, "FERNET_KEY_NEXT") if given else None

    def ledger_key(self) -> bytes:
        """The key's 32 bytes."""
        return _key_bytes(self.settings.ledger_key, "LEDGER_KEY")


class KmsKeyProvider:
    """The keys are KMS_CIPHERTEXT and LEDGER_KEY_CIPHERTEXT, decrypted by AWS KMS under KMS_KEY_ID."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def master_key(self) -> bytes:
        """The key's 32 bytes, from KMS Decrypt; the plaintext may be the bytes themselves or their base64."""
        return self._decrypt("KMS_CIPHERTEXT", self.settings.kms_ciphertext)

    def next_master_key(self) -> bytes | None:
        """KMS_CIPHERTEXT_NEXT, where it is set, decrypted as the master key is."""
        given = self.settings.kms_ciphertext_next
        return self._decrypt("KMS_CIPHERTEXT_NEXT", given) if given else None

    def ledger_key(self) -> bytes:
        """As the master key."""
        return self._decrypt("LEDGER_KEY_CIPHERTEXT", self.settings.ledger_key_ciphertext)

    def _decrypt(self, name: str, given: str) -> bytes:
        try:
            import boto3
            from botocore.exceptions import BotoCoreError, ClientError
        except ImportError:
            raise ConfigurationError(
                "KEY_PROVIDER is aws_kms, which needs the package boto3. Install it with: pip install 'fairlens[aws]'",
                field="KEY_PROVIDER",
            ) from None
        key_id = self.settings.kms_key_id
        if not key_id or not given:
            raise ConfigurationError(
                f"KEY_PROVIDER is aws_kms, which needs KMS_KEY_ID and {name}.", field=name
            )
        try:
            ciphertext = base64.b64decode(given, validate=True)
        except binascii.Error:
            raise ConfigurationError(f"{name} is not base64.", field=name) from None
        # An ARN names its region: arn:aws:kms:REGION:ACCOUNT:key/ID. Otherwise boto3 looks for it in its own places.
        region = key_id.split(":")[3] if key_id.startswith("arn:") and key_id.count(":") >= 5 else None
        try:
            client = boto3.client("kms", region_name=region)
            answer = client.decrypt(CiphertextBlob=ciphertext, KeyId=key_id)
        except (BotoCoreError, ClientError) as error:
            telemetry.log(
                "KEY_PROVIDER_FAILED", level="error", provider="aws_kms", error=type(error).__name__
            )
            raise Unavailable(
                f"AWS KMS did not decrypt {name} ({type(error).__name__}).", retry_after_s=30
            ) from error
        plain = bytes(answer["Plaintext"])
        return plain if len(plain) == KEY_BYTES else _key_bytes(plain.decode("ascii", "replace"), name)


class VaultKeyProvider:
    """The keys are the fields `fernet_key` and `ledger_key` of a KV v2 secret of HashiCorp Vault."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def master_key(self) -> bytes:
        """The key's 32 bytes, read by GET VAULT_ADDR/v1/VAULT_SECRET_PATH."""
        return self._required("fernet_key")

    def next_master_key(self) -> bytes | None:
        """The field `fernet_key_next`, where the secret has it."""
        return self._field("fernet_key_next")

    def ledger_key(self) -> bytes:
        """As the master key."""
        return self._required("ledger_key")

    def _required(self, name: str) -> bytes:
        found = self._field(name)
        if found is None:
            raise self._absent(name)
        return found

    def _absent(self, name: str) -> ConfigurationError:
        path = self.settings.vault_secret_path.strip("/")
        return ConfigurationError(
            f"Vault's secret {path} has no field {name} (a KV v2 path has /data/ in it).",
            field="VAULT_SECRET_PATH",
        )

    def _field(self, name: str) -> bytes | None:
        if not self.settings.vault_addr or not self.settings.vault_token:
            raise ConfigurationError(
                "KEY_PROVIDER is vault, which needs VAULT_ADDR and VAULT_TOKEN.", field="VAULT_ADDR"
            )
        path = self.settings.vault_secret_path.strip("/")
        try:
            answer = requests.get(
                f"{self.settings.vault_addr.rstrip('/')}/v1/{path}",
                headers={"X-Vault-Token": self.settings.vault_token, "X-Vault-Request": "true"},
                timeout=TIMEOUT_S,
                # A redirect would carry the token to wherever the answer points.
                allow_redirects=False,
            )
        except requests.RequestException as error:
            telemetry.log("KEY_PROVIDER_FAILED", level="error", provider="vault", error=type(error).__name__)
            raise Unavailable("Vault does not answer.", retry_after_s=30) from None
        if answer.status_code in (403, 404):
            raise ConfigurationError(
                f"Vault answered {answer.status_code} for {path}: check VAULT_TOKEN and VAULT_SECRET_PATH.",
                field="VAULT_SECRET_PATH",
            )
        if answer.status_code != requests.codes.ok:
            raise Unavailable(f"Vault answered {answer.status_code} for {path}.", retry_after_s=30)
        try:
            text = answer.json()["data"]["data"].get(name)
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self._absent(name) from None
        return None if text is None else _key_bytes(str(text), f"{name} in Vault")


PROVIDERS: dict[str, type[EnvironmentKeyProvider] | type[KmsKeyProvider] | type[VaultKeyProvider]] = {
    "environment": EnvironmentKeyProvider,
    "aws_kms": KmsKeyProvider,
    "vault": VaultKeyProvider,
}


def master_key() -> bytes:
    """The master key of the current settings, 32 bytes; asked for once a process and settings."""
    return _cached(config.current())


def next_master_key() -> bytes | None:
    """The master key that is to follow, where the current settings have one; asked for once a process and settings."""
    return _cached_next(config.current())


def ledger_key() -> bytes:
    """The ledger's signing seed of the current settings, 32 bytes; asked for once a process and settings."""
    return _cached_ledger(config.current())


@lru_cache(maxsize=4)
def _cached(settings: Settings) -> bytes:
    return PROVIDERS[settings.key_provider](settings).master_key()


@lru_cache(maxsize=4)
def _cached_next(settings: Settings) -> bytes | None:
    return PROVIDERS[settings.key_provider](settings).next_master_key()


@lru_cache(maxsize=4)
def _cached_ledger(settings: Settings) -> bytes:
    return PROVIDERS[settings.key_provider](settings).ledger_key()


def _key_bytes(text: str, name: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise ConfigurationError(
            f"{name} is not 32 bytes in URL-safe base64. Make one with: {config.HOW_TO_MAKE['FERNET_KEY']}",
            field=name,
        )
    return key
