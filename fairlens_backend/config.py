"""Settings: declared once, typed, each with its unit in a sentence; from the environment, then `.env`, then the default.

A bad value stops the start with a sentence that says how to set it right. Secrets have no default: in production a
missing or weak one stops the start; in development it is generated into `DATA_DIR/secrets.env` (mode 0600, ignored by git).
"""

import base64
import binascii
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from fairlens_backend.errors import ConfigurationError

PROJECT_ROOT = Path(__file__).resolve().parent.parent
SECRETS_FILE = "secrets.env"
MIN_SECRET_LENGTH = 32  # bytes: RFC 7518 section 3.2 asks of an HS256 key as many as its hash has
MIN_PASSWORD_LENGTH = 12
WEAK_WORDS = ("changeme", "change-me", "secret", "password", "example", "admin", "fairlens", "12345")

HOW_TO_MAKE = {
    "JWT_SECRET": 'python -c "import secrets; print(secrets.token_urlsafe(48))"',
    "FERNET_KEY": 'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"',
    "ADMIN_PASSWORD": 'python -c "import secrets; print(secrets.token_urlsafe(18))"',
}


def setting(default: str, sentence: str, choices: tuple[str, ...] = (), minimum: float | None = None) -> Any:
    """One setting: its default as text, what it means, and what it may be."""
    return field(
        default=None,
        metadata={"default": default, "sentence": sentence, "choices": choices, "minimum": minimum},
    )


@dataclass(frozen=True)
class Settings:
    """Every setting. `data_dir` is the environment's `DATA_DIR`, and so on."""

    environment: str = setting(
        "development", "development or production", choices=("development", "production")
    )
    host: str = setting("127.0.0.1", "address that `python fairlens_backend/app.py` binds")
    port: int = setting("5050", "port that the server binds", minimum=0)
    data_dir: str = setting(
        "instance", "folder of the database, the compliance log, the anchors and development secrets"
    )
    models_dir: str = setting("models", "folder of model artefacts")
    tenant_artefacts: bool = setting(
        "false", "whether other tenants' administrators may upload artefacts: code that runs in this server"
    )
    database_url: str = setting(
        "",
        "SQLAlchemy URL; empty means SQLite in DATA_DIR; postgresql+psycopg://user:pw@host/db in production",
    )
    database_busy_timeout_ms: int = setting(
        "15000", "milliseconds a writer waits for SQLite's lock before it answers 503", minimum=0
    )
    log_level: str = setting(
        "info", "debug, info, warning or error", choices=("debug", "info", "warning", "error")
    )

    jwt_secret: str = setting("", "secret that signs tokens, at least 32 characters; no default")
    jwt_access_expire: int = setting("900", "seconds an access token lives", minimum=1)
    jwt_refresh_expire: int = setting("2592000", "seconds a refresh token lives", minimum=1)
    admin_username: str = setting("admin", "name of the first administrator, made at the first start")
    admin_password: str = setting(
        "", "password of the first administrator, at least 12 characters; no default"
    )
    login_max_failures: int = setting("5", "failed logins in a row that lock an account", minimum=1)
    login_lock_s: int = setting("900", "seconds an account stays locked", minimum=1)

    fernet_key: str = setting(
        "", "master key: wraps the data keys that encrypt alert texts, keys the personal hashes; no default"
    )
    key_provider: str = setting(
        "environment",
        "where the master key lives: environment, aws_kms or vault",
        choices=("environment", "aws_kms", "vault"),
    )
    kms_key_id: str = setting(
        "", "KEY_PROVIDER=aws_kms: id or ARN of the KMS key that decrypts KMS_CIPHERTEXT"
    )
    kms_ciphertext: str = setting("", "KEY_PROVIDER=aws_kms: the master key encrypted by KMS, base64")
    vault_addr: str = setting("", "KEY_PROVIDER=vault: address of HashiCorp Vault, https://…")
    vault_token: str = setting("", "KEY_PROVIDER=vault: token that may read VAULT_SECRET_PATH")
    vault_secret_path: str = setting(
        "secret/data/fairlens", "KEY_PROVIDER=vault: KV v2 path whose field fernet_key is the master key"
    )

    webhook_url: str = setting("", "where alerts are posted; empty means nowhere")
    webhook_secret: str = setting("", "secret that signs webhooks (HMAC-SHA256); needed with WEBHOOK_URL")
    webhook_timeout_s: float = setting("5", "seconds one delivery may take", minimum=0.1)
    webhook_max_attempts: int = setting(
        "8", "deliveries tried before a message is set aside as undeliverable", minimum=1
    )
    webhook_allow_private: bool = setting(
        "false", "whether webhooks may go to private and loopback addresses, and by plain http in production"
    )
    clock_enabled: bool = setting(
        "true", "whether this process delivers webhooks and repairs evidence in the background"
    )
    clock_interval_s: float = setting("5", "seconds between two ticks of the clock", minimum=0.05)

    cors_origins: str = setting(
        "", "origins that browsers may call from, separated by commas; empty means none"
    )
    trusted_proxies: int = setting(
        "0", "reverse proxies in front whose X-Forwarded-For is believed", minimum=0
    )
    rate_limit_default: str = setting("600 per minute", "calls an address may make to any one endpoint")
    rate_limit_login: str = setting("20 per minute", "login and refresh calls an address may make")
    rate_limit_storage: str = setting(
        "memory://",
        "where call counts are kept; memory:// counts in each worker for itself, redis://… for all",
    )
    max_json_bytes: int = setting("10485760", "bytes a JSON body may have", minimum=1)
    max_upload_bytes: int = setting("209715200", "bytes an upload may have; unpacked times 10", minimum=1)
    max_attribute_groups: int = setting("1000", "different values a protected attribute may have", minimum=2)
    rate_limit_ingest: str = setting("10000 per minute", "calls an API key may make of each /v1/predictions")
    ingest_max_ahead_s: float = setting("3600", "seconds an event may be ahead of the clock", minimum=0)
    early_label_days: float = setting("30", "days a label waits for its decision", minimum=0)
    raw_events_days: float = setting("90", "days single decisions are kept; counts stay", minimum=1)
    min_free_disk_mb: int = setting("50", "megabytes free in DATA_DIR under which readiness fails", minimum=0)

    @property
    def production(self) -> bool:
        """Whether secrets must have been given and the schema must be up to date at the start."""
        return self.environment == "production"

    @property
    def data_path(self) -> Path:
        """`data_dir`, absolute; a relative one is below the project's root."""
        return PROJECT_ROOT / self.data_dir

    @property
    def models_path(self) -> Path:
        """`models_dir`, absolute; a relative one is below the project's root."""
        return PROJECT_ROOT / self.models_dir

    @property
    def sqlalchemy_url(self) -> str:
        """`database_url`, or SQLite in the data folder."""
        return self.database_url or f"sqlite:///{self.data_path / 'fairlens.db'}"


_current: list[Settings] = []


def use(settings: Settings) -> None:
    """Make these the process's settings."""
    _current[:] = [settings]


def current() -> Settings:
    """The process's settings; loaded from the environment at the first call."""
    if not _current:
        use(load_settings())
    return _current[0]


def load_settings(environ: Mapping[str, str] | None = None) -> Settings:
    """Read, convert and check every setting.

    Parameters
    ----------
    environ : mapping of setting names to text; the process's environment over `.env` when None

    Raises
    ------
    ConfigurationError : one sentence for each setting that is wrong, with how to make it right
    """
    given = _process_environment() if environ is None else environ
    problems: list[str] = []
    values: dict[str, Any] = {}
    for declared in fields(Settings):
        text = given.get(declared.name.upper()) or declared.metadata["default"]
        try:
            values[declared.name] = _convert(declared.name.upper(), text, declared.type, declared.metadata)
        except ConfigurationError as error:
            problems.append(error.message)
    if problems:
        raise ConfigurationError(" ".join(problems), problems=problems)
    settings = Settings(**values)
    if not settings.production:
        settings = _with_generated_secrets(settings, values)
    _check_secrets(settings)
    return settings


def _process_environment() -> Mapping[str, str]:
    file = {name: text for name, text in dotenv_values(PROJECT_ROOT / ".env").items() if text is not None}
    return {**file, **os.environ}


def _convert(name: str, text: str, kind: Any, metadata: Mapping[str, Any]) -> Any:
    wanted = metadata["sentence"]
    try:
        value: Any = _parse_bool(text) if kind is bool else kind(text)
    except ValueError:
        raise ConfigurationError(
            f"{name} is {text!r}, a {kind.__name__} was expected ({wanted}).", field=name
        ) from None
    if metadata["choices"] and value not in metadata["choices"]:
        raise ConfigurationError(
            f"{name} is {text!r}, one of {', '.join(metadata['choices'])} was expected.", field=name
        )
    # `not >=` and not `<`, so that a NaN is refused too.
    if metadata["minimum"] is not None and not value >= metadata["minimum"]:
        raise ConfigurationError(
            f"{name} is {text}, at least {metadata['minimum']} was expected ({wanted}).", field=name
        )
    return value


def _parse_bool(text: str) -> bool:
    known = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if text.strip().lower() not in known:
        raise ValueError(text)
    return known[text.strip().lower()]


def _with_generated_secrets(settings: Settings, values: dict[str, Any]) -> Settings:
    """Fill the secrets that development lacks from a file that is made once."""
    missing = [name for name in HOW_TO_MAKE if not values[name.lower()] and _needed(settings, name)]
    if not missing:
        return settings
    path = settings.data_path / SECRETS_FILE
    if not path.exists():
        _write_secrets(path)
    kept = dotenv_values(path)
    return Settings(**{**values, **{name.lower(): kept.get(name) or "" for name in missing}})


def _needed(settings: Settings, name: str) -> bool:
    return name != "FERNET_KEY" or settings.key_provider == "environment"


def _write_secrets(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = {
        "JWT_SECRET": secrets.token_urlsafe(48),
        "FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "ADMIN_PASSWORD": secrets.token_urlsafe(18),
    }
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(
            "# Made at the first start, for development only. In production set these in the environment.\n"
        )
        file.writelines(f"{name}={text}\n" for name, text in made.items())
    try:
        # A link fails where the file is there already: of two processes starting at once one wins, and both read its file.
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _check_secrets(settings: Settings) -> None:
    problems = [
        f"{name} {fault}. Make one with: {how}"
        for name, how in HOW_TO_MAKE.items()
        if _needed(settings, name) and (fault := _fault(name, getattr(settings, name.lower())))
    ]
    if settings.webhook_url and not settings.webhook_secret:
        problems.append(
            "WEBHOOK_URL is set without WEBHOOK_SECRET. Make one with: " + HOW_TO_MAKE["JWT_SECRET"]
        )
    if problems:
        raise ConfigurationError("\n".join(problems), problems=problems)


def _fault(name: str, value: str) -> str | None:
    if not value:
        return "is not set"
    if name == "FERNET_KEY":
        try:
            right = len(base64.urlsafe_b64decode(value)) == MIN_SECRET_LENGTH
        except (ValueError, binascii.Error):
            right = False
        return None if right else "is not 32 bytes in URL-safe base64"
    least = MIN_SECRET_LENGTH if name == "JWT_SECRET" else MIN_PASSWORD_LENGTH
    if len(value) < least:
        return f"has {len(value)} characters, at least {least} are needed"
    weak = [word for word in WEAK_WORDS if word in value.lower()]
    if weak or len(set(value)) < 6:
        return (
            f"is easily guessed (it contains {weak[0]!r})"
            if weak
            else "is easily guessed (too few different characters)"
        )
    return None
