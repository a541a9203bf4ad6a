"""Settings, as `settings_table` declares them: from the environment, then `.env`, then the default.

A bad value stops the start with a sentence that says how to set it right. Secrets have no default: in production a
missing or weak one stops the start; in development it is generated into `DATA_DIR/secrets.env` (mode 0600, ignored by git).
"""

import base64
import binascii
import fcntl
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import fields
from email.utils import parseaddr
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from fairlens_backend.errors import ConfigurationError
from fairlens_backend.settings_table import PROJECT_ROOT, Settings

__all__ = [
    "CHANNEL_NEEDS",
    "HOW_TO_MAKE",
    "PROJECT_ROOT",
    "SECRETS_FILE",
    "Settings",
    "child_environment",
    "current",
    "load_settings",
    "metrics_folder",
    "use",
    "words",
    "worker_processes",
]

SECRETS_FILE = "secrets.env"
MIN_SECRET_LENGTH = 32  # bytes: RFC 7518 section 3.2 asks of an HS256 key as many as its hash has
MIN_PASSWORD_LENGTH = 12
WEAK_WORDS = ("changeme", "change-me", "secret", "password", "example", "admin", "fairlens", "12345")

HOW_TO_MAKE = {
    "JWT_SECRET": 'python -c "import secrets; print(secrets.token_urlsafe(48))"',
    "FERNET_KEY": 'python -c "from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())"',
    "LEDGER_KEY": 'python -c "import base64, secrets; print(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())"',
    "ADMIN_PASSWORD": 'python -c "import secrets; print(secrets.token_urlsafe(18))"',
}

CHANNEL_NEEDS = {
    "webhook": ("WEBHOOK_URL", "WEBHOOK_SECRET"),
    "slack": ("ALERT_SLACK_URL",),
    "pagerduty": ("ALERT_PAGERDUTY_KEY", "ALERT_PAGERDUTY_URL"),
    "email": ("ALERT_EMAIL_TO", "SMTP_HOST", "SMTP_FROM"),
}
"""What each channel of alerts needs; the first of them turns it on."""
BEGINS = ("WEBHOOK_URL", "WEBHOOK_SECRET", "ALERT_SLACK_URL", "ALERT_PAGERDUTY_KEY", "ALERT_EMAIL_TO")
"""settings that are for the channel alone: with one of them, all that it needs must be there"""

PROVIDED = ("FERNET_KEY", "LEDGER_KEY")
"""secrets that a key provider may hold in place of the environment"""

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


def child_environment(given: Mapping[str, str]) -> dict[str, str]:
    """What a server that is started as another process gets: these settings by name, every other one as by default."""
    return {**os.environ, **{declared.name.upper(): "" for declared in fields(Settings)}, **given}


def metrics_folder() -> str | None:
    """The folder where the workers of one server keep what they count, which `gunicorn.conf.py` makes; None for one process.

    prometheus_client reads this variable by itself, from the environment alone.
    """
    return os.environ.get("PROMETHEUS_MULTIPROC_DIR") or None


def worker_processes() -> int:
    """How many workers gunicorn starts: WEB_CONCURRENCY, a variable of its own, here also from `.env`."""
    rule = {"sentence": "worker processes of gunicorn", "choices": (), "minimum": 1}
    n: int = _convert("WEB_CONCURRENCY", _process_environment().get("WEB_CONCURRENCY") or "2", int, rule)
    return n


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
    if any(not kept.get(name) for name in missing):
        kept = _add_secrets(path, missing)
    return Settings(**{**values, **{name.lower(): kept.get(name) or "" for name in missing}})


def _needed(settings: Settings, name: str) -> bool:
    return name not in PROVIDED or settings.key_provider == "environment"


def _new_secrets() -> dict[str, str]:
    return {
        "JWT_SECRET": secrets.token_urlsafe(48),
        "FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "LEDGER_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "ADMIN_PASSWORD": secrets.token_urlsafe(18),
    }


def _add_secrets(path: Path, wanted: list[str]) -> dict[str, str | None]:
    """Add the secrets that the file of an earlier version lacks; of processes that start at once one does."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        kept = dotenv_values(path)
        lacking = {
            name: text for name, text in _new_secrets().items() if name in wanted and not kept.get(name)
        }
        file.writelines(f"{name}={text}\n" for name, text in lacking.items())
    return {**kept, **lacking}


def _write_secrets(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    made = _new_secrets()
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
    problems += _alert_problems(settings)
    if settings.timestamp_url and not settings.timestamp_roots:
        problems.append(
            "TIMESTAMP_URL is set without TIMESTAMP_ROOTS, the file of the authority's root certificates in PEM."
        )
    if problems:
        raise ConfigurationError("\n".join(problems), problems=problems)


def _alert_problems(settings: Settings) -> list[str]:
    """A channel that is chosen or half set up must be whole: it would only fail when it is needed."""
    chosen = set(words(settings.alert_channels))
    problems = [
        f"ALERT_CHANNELS names {name}; there are {', '.join(CHANNEL_NEEDS)}."
        for name in sorted(chosen - set(CHANNEL_NEEDS))
    ]
    for channel, needs in CHANNEL_NEEDS.items():
        missing = [name for name in needs if not getattr(settings, name.lower())]
        # A secret is for one thing only: without its address nothing would be sent, and nobody told.
        begun = [name for name in needs if name in BEGINS and getattr(settings, name.lower())]
        if missing and (begun or channel in chosen):
            why = f"ALERT_CHANNELS has {channel}" if channel in chosen else f"{begun[0]} is set"
            how = f" Make one with: {HOW_TO_MAKE['JWT_SECRET']}" if "WEBHOOK_SECRET" in missing else ""
            problems.append(f"{why} without {', '.join(missing)}.{how}")
    if bool(settings.smtp_username) != bool(settings.smtp_password):
        problems.append("SMTP_USERNAME and SMTP_PASSWORD belong together; only one of them is set.")
    if settings.smtp_username and settings.smtp_security == "none":
        problems.append("SMTP_SECURITY=none would send SMTP_PASSWORD in the clear; use starttls or tls.")
    for name in ("alert_email_to", "smtp_from"):
        for text in words(getattr(settings, name)):
            if not re.fullmatch(r"[^@\s]+@[^@\s]+", parseaddr(text)[1]):
                problems.append(f"{name.upper()} has {text!r}, an e-mail address was expected.")
    odd = sorted(set(words(settings.alert_severities)) - {"CRITICAL", "HIGH", "MEDIUM"})
    if odd:
        problems.append(f"ALERT_SEVERITIES names {odd[0]}; there are CRITICAL, HIGH, MEDIUM.")
    for n, m in (("alert_open_breaches", "alert_open_windows"), ("alert_close_clear", "alert_close_windows")):
        if getattr(settings, n) > getattr(settings, m):
            problems.append(f"{n.upper()} is {getattr(settings, n)} of {m.upper()} {getattr(settings, m)}.")
    if (margin := settings.alert_closing_margin) >= 1:
        problems.append(f"ALERT_CLOSING_MARGIN is {margin:g}, less than 1 was expected.")
    begun = [name for name in BEGINS if getattr(settings, name.lower())]
    if settings.production and begun and not settings.public_url:
        problems.append(f"{begun[0]} is set without PUBLIC_URL, so the links in alerts would lead nowhere.")
    if settings.public_url and not settings.public_url.startswith(("http://", "https://")):
        problems.append(f"PUBLIC_URL is {settings.public_url!r}, https://… was expected.")
    plain = not settings.production or settings.webhook_allow_private
    for name in ("webhook_url", "alert_slack_url", "alert_pagerduty_url"):
        text = getattr(settings, name).strip()
        if text and not re.fullmatch(rf"http{'s?' if plain else 's'}://[^\s/?#@]+([/?#]\S*)?", text):
            problems.append(
                f"{name.upper()} is no address of the form https://host/path."
            )  # not told: a secret
    if not re.fullmatch("([A-Za-z0-9]{32})?", settings.alert_pagerduty_key.strip()):
        problems.append("ALERT_PAGERDUTY_KEY is not of 32 letters and digits.")
    return problems


def words(text: str) -> list[str]:
    """The parts of a setting that is a list, separated by commas."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _fault(name: str, value: str) -> str | None:
    if not value:
        return "is not set"
    if name in PROVIDED:
        try:
            right = len(base64.urlsafe_b64decode(value)) == MIN_SECRET_LENGTH
        except (ValueError, binascii.Error):
            right = False
        return None if right else "is not 32 bytes in URL-safe base64"
    least = MIN_SECRET_LENGTH if name == "JWT_SECRET" else MIN_PASSWORD_LENGTH
    if len(value) < least:
        return f"has {len(value)} characters, at least {least} are needed"
    weak = [f"it contains {word!r}" for word in WEAK_WORDS if word in value.lower()]
    if len(set(value)) < 6:
        weak.append("too few different characters")
    return f"is easily guessed ({weak[0]})" if weak else None
