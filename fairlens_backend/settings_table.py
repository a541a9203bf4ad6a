"""The settings table: each setting once, typed, with its unit in a sentence. `config` reads and checks them."""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

PROJECT_ROOT = Path(__file__).resolve().parent.parent


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
    database_app_role: str = setting(
        "",
        "PostgreSQL: role that the server connects as, where migrations run as another; migrating gives it its grants",
    )
    database_busy_timeout_ms: int = setting(
        "15000", "milliseconds a writer waits for SQLite's lock before it answers 503", minimum=0
    )
    redis_url: str = setting(
        "",
        "redis://host:6379/0 for limits, cache and jobs of all workers and hosts; empty: in each process, jobs in the database",
    )
    redis_timeout_s: float = setting(
        "1", "seconds Redis may take to answer before we go on without", minimum=0.01
    )
    cache_ttl_s: float = setting(
        "60", "seconds the answer of an expensive read may be given again", minimum=0
    )
    cache_max_mb: float = setting("64", "megabytes of such answers a process keeps without Redis", minimum=0)
    job_lease_s: float = setting(
        "120", "seconds a step of a job may take before another worker takes it over", minimum=1
    )
    job_max_attempts: int = setting("5", "failed tries after which a job is set aside as dead", minimum=1)
    job_keep_days: float = setting("30", "days a finished job stays in the list", minimum=0)
    count_check_days: float = setting(
        "7", "days after which a day's counts are compared with its raw rows again", minimum=0.01
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
    fernet_key_next: str = setting(
        "",
        "only while the master key is changed: the one that is to follow FERNET_KEY, 32 bytes in URL-safe base64",
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
    kms_ciphertext_next: str = setting(
        "", "KEY_PROVIDER=aws_kms, only while the master key is changed: the one that is to follow, base64"
    )
    ledger_key: str = setting(
        "", "Ed25519 seed that signs the heads of the ledger, 32 bytes in URL-safe base64; no default"
    )
    ledger_key_ciphertext: str = setting(
        "", "KEY_PROVIDER=aws_kms: the ledger's seed encrypted by KMS, base64"
    )
    ledger_origin: str = setting(
        "",
        "name that the heads of the ledger are signed with, such as fairlens.example.org/ledger; never to be changed once "
        "heads were signed; empty makes one of the first key",
    )
    ledger_head_s: int = setting("900", "seconds after which a head is signed at the latest", minimum=1)
    vault_addr: str = setting("", "KEY_PROVIDER=vault: address of HashiCorp Vault, https://…")
    vault_token: str = setting("", "KEY_PROVIDER=vault: token that may read VAULT_SECRET_PATH")
    vault_secret_path: str = setting(
        "secret/data/fairlens",
        "KEY_PROVIDER=vault: KV v2 path whose fields fernet_key and ledger_key are the keys, and fernet_key_next while the"
        " master key is changed",
    )

    public_url: str = setting("", "address that people reach this server by, for links in alerts: https://…")
    alert_channels: str = setting(
        "", "channels that alerts without a route of their own go to, by commas; empty: all that are set up"
    )
    alert_severities: str = setting("CRITICAL,HIGH", "severities that these channels are told of, by commas")
    alert_slack_url: str = setting("", "Slack's incoming webhook; the address is a secret")
    alert_pagerduty_key: str = setting("", "integration key of a PagerDuty service (Events API v2)")
    alert_pagerduty_url: str = setting(
        "https://events.pagerduty.com", "PagerDuty's address; its EU has another"
    )
    alert_email_to: str = setting("", "addresses that alerts are mailed to, by commas; needs SMTP_HOST")
    alert_open_breaches: int = setting("1", "breaches that open an alert", minimum=1)
    alert_open_windows: int = setting("1", "last audits among which these breaches are", minimum=1)
    alert_close_clear: int = setting("2", "clear audits that close an alert", minimum=1)
    alert_close_windows: int = setting("2", "last audits among which these clear ones are", minimum=1)
    alert_closing_margin: float = setting(
        "0.1", "share of a limit by which a value must be inside it to be clear", minimum=0
    )
    alert_reminder_h: float = setting("4", "hours between reminders of an open alert; 0 for none", minimum=0)
    alert_reopen_h: float = setting("24", "hours in which a breach opens a resolved alert again", minimum=0)
    alert_give_up_h: float = setting(
        "24", "hours a message is tried for before it is a dead letter", minimum=0.01
    )
    smtp_host: str = setting("", "mail server that alerts are sent by")
    smtp_port: int = setting("587", "port of the mail server", minimum=1)
    smtp_security: str = setting(
        "starttls",
        "starttls, tls (from the first byte, port 465) or none",
        choices=("starttls", "tls", "none"),
    )
    smtp_username: str = setting("", "user at the mail server; empty for no login")
    smtp_password: str = setting("", "password at the mail server; no default")
    smtp_from: str = setting("", "address that alerts are mailed from")
    webhook_url: str = setting("", "where alerts are posted, signed, as JSON; empty means nowhere")
    webhook_secret: str = setting("", "secret that signs webhooks (HMAC-SHA256); needed with WEBHOOK_URL")
    webhook_timeout_s: float = setting("5", "seconds one delivery to any channel may take", minimum=0.1)
    webhook_allow_private: bool = setting(
        "false", "whether alerts may go to private and loopback addresses, and by plain http in production"
    )
    clock_enabled: bool = setting(
        "true",
        "whether this process audits on the clock, delivers alerts and repairs evidence in the background; false where"
        " `fairlens worker` does",
    )
    clock_interval_s: float = setting("5", "seconds between two ticks of the clock", minimum=0.05)
    audit_default: bool = setting(
        "true", "whether models that send decisions are audited on the clock without a schedule of their own"
    )
    audit_cron: str = setting(
        "*/15 * * * *", "when a model is audited whose schedule does not say it: a cron line of five fields"
    )
    audit_time_zone: str = setting("UTC", "time zone of AUDIT_CRON, an IANA name")
    audit_window_minutes: int = setting(
        "60", "minutes that an audit on the clock looks back; 0: to the time it was due before", minimum=0
    )
    audit_settle_s: float = setting(
        "15", "seconds after a window's end before it is audited, for decisions on their way", minimum=0
    )
    audit_catch_up: int = setting(
        "96", "windows of a model that are made up for after a downtime; older ones are given up", minimum=1
    )
    audits_per_tick: int = setting("20", "audits that one tick of the clock makes at most", minimum=1)
    audit_lease_s: float = setting(
        "60", "seconds after which a worker that no longer answers loses a model to another", minimum=1
    )
    reaudit_share: float = setting(
        "0.01",
        "share of a window's decisions that must come, go or get another outcome for a new revision",
        minimum=0,
    )
    reaudit_decisions: int = setting(
        "1000", "decisions that make a new revision of their window, whatever their share", minimum=1
    )
    reaudit_days: float = setting(
        "45", "days after which a window is no longer audited anew for late labels or events", minimum=0
    )

    cors_origins: str = setting(
        "", "origins that browsers may call from, separated by commas; empty means none"
    )
    trusted_proxies: int = setting(
        "0", "reverse proxies in front whose X-Forwarded-For is believed", minimum=0
    )
    rate_limit_default: str = setting("600 per minute", "calls an address may make to any one endpoint")
    rate_limit_login: str = setting("20 per minute", "login and refresh calls an address may make")
    max_json_bytes: int = setting("10485760", "bytes a JSON body may have", minimum=1)
    max_upload_bytes: int = setting("209715200", "bytes an upload may have; unpacked times 10", minimum=1)
    max_attribute_groups: int = setting(
        "1000",
        "different values a protected attribute may have; an event with one more is a dead letter, in a window of several versions or"
        " submissions those with the fewest decisions count as unknown",
        minimum=2,
    )
    rate_limit_ingest: str = setting("10000 per minute", "calls an API key may make of each /v1/predictions")
    ingest_max_ahead_s: float = setting("3600", "seconds an event may be ahead of the clock", minimum=0)
    early_label_days: float = setting("30", "days a label waits for its decision", minimum=0)
    raw_events_days: float = setting("90", "days single decisions are kept; counts stay", minimum=1)
    minute_counts_days: float = setting(
        "90", "days counts are kept by the minute; older ones by the hour and day", minimum=1
    )
    dead_letter_days: float = setting("90", "days events that could not be taken are kept", minimum=1)
    outbox_days: float = setting("30", "days alert messages are kept after they were delivered", minimum=1)
    alert_days: float = setting(
        "400", "days alerts are kept, with their history, after they were resolved", minimum=1
    )
    audit_window_days: float = setting(
        "400", "days it is kept what became of each window, at least REAUDIT_DAYS; audits stay", minimum=1
    )
    store_features: bool = setting(
        "true", "whether features and tags of single decisions are kept, personal data in them as tokens"
    )
    phone_regions: str = setting(
        "US", "countries whose national telephone numbers are expected, as ISO 3166 codes with commas"
    )
    first_names_csv: str = setting(
        "", "file of name,female,male for the gender proxy; empty means the one that ships (US births)"
    )
    income_by_zip_csv: str = setting(
        "", "file of zip and income brackets with households, for the income proxy; empty means none"
    )
    self_check_s: float = setting(
        "3600", "seconds between two checks of the whole stored ledger; 0: none", minimum=0
    )
    self_check_whole: int = setting(
        "3",
        "newest audits of each model whose intervals, tests and severities each of these checks computes anew too, 25 to 100 ms an audit; 0: none",
        minimum=0,
    )
    witness_logs: str = setting(
        "", "public keys of other servers' ledgers whose heads this one cosigns, separated by commas"
    )
    ledger_witnesses: str = setting(
        "",
        "witnesses that cosign this ledger's heads: URL KEY, URL KEY, …; of another FairLens the address https://…/v1/ledger/witness and the key it gives",
    )
    witness_interval_s: float = setting(
        "900", "seconds between two heads that witnesses are asked to cosign", minimum=1
    )
    timestamp_url: str = setting(
        "", "RFC 3161 authority that stamps heads of the ledger, https://…; empty means none"
    )
    timestamp_roots: str = setting("", "file of the root certificates in PEM that its stamps must lead to")
    timestamp_interval_s: float = setting(
        "3600", "seconds between two stamps of the ledger's head", minimum=1
    )
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
        return self.database_url or _sqlite_url(self.data_dir)


@lru_cache(maxsize=16)  # a request of events asks for it 25 times, and paths are slow: 0.2 ms in all
def _sqlite_url(data_dir: str) -> str:
    return f"sqlite:///{PROJECT_ROOT / data_dir / 'fairlens.db'}"
