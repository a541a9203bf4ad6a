"""The ledger's small events, in the words that they all share. They are the last that the unit of work of their act does.

People are named by the number of their account alone: once the account is deleted it leads to nobody, so that an entry, which
nothing can erase, holds nothing personal.
"""

from datetime import datetime
from typing import Any, Final

from fairlens_backend.storage import ledger, users
from fairlens_backend.storage.tables import ApiKey

OPERATOR_TENANT: Final = "default"
"""whose events those of the whole server are"""


def user_changed(action: str, username: str, by: str | None, now: datetime) -> None:
    """A user was created or locked, or will be deleted; `by` is None where the server did it itself."""
    user = users.find_user(username)
    if user is not None:
        body = {"action": action, "user_id": user.id, "role": user.role, **by_whom(by)}
        ledger.append_at_end("USER_CHANGED", user.tenant, body, now)


def api_key_changed(action: str, key: ApiKey, by: str, now: datetime) -> None:
    """An API key was created or revoked. Its name is a person's free text, so its public prefix stands for it."""
    body = {"action": action, "prefix": key.prefix, "scope": key.scope, **by_whom(by)}
    ledger.append_at_end("API_KEY_CHANGED", key.tenant, body, now)


def model_registered(
    tenant: str,
    model: str,
    version: str,
    declarations_sha256: str,
    artefact_sha256: str | None,
    by: str,
    now: datetime,
) -> None:
    """A model was registered: what was declared of it, and its artefact, by their digests."""
    body = {
        "model": model,
        "version": version,
        "declarations_sha256": declarations_sha256,
        "artefact_sha256": artefact_sha256,
        **by_whom(by),
    }
    ledger.append_at_end("MODEL_REGISTERED", tenant, body, now)


def alert_decrypted(tenant: str, model: str, record_id: str, by: str, now: datetime) -> None:
    """Somebody was given an alert's text. Where from is kept in `alert_decryptions`, which can be erased."""
    ledger.append_at_end(
        "ALERT_DECRYPTED", tenant, {"model": model, "record_id": record_id, **by_whom(by)}, now
    )


def key_rotated(
    key: str, by: str | None, now: datetime, *, tenant: str = OPERATOR_TENANT, **facts: Any
) -> None:
    """A key of the server was changed: `data`, `ledger`, `jwt` or `master`; or a tenant's, `tokens`."""
    ledger.append_at_end("KEY_ROTATED", tenant, {"key": key, **facts, **by_whom(by)}, now)


def data_erased(
    tenant: str,
    erasure_id: int,
    asked_by: str,
    asked: int,
    request_digest: str,
    erased: dict[str, int],
    remains: dict[str, int],
    by_user_id: int | None,
    now: datetime,
) -> int:
    """Somebody's raw rows were erased: how much of what, and a keyed digest of what was asked for. The entry's index.

    Parameters
    ----------
    asked_by : event_ids, token or value; `asked` how many
    erased, remains : counts by kind; zeros where nothing was found
    """
    body = {
        "erasure_id": erasure_id,
        "asked_by": asked_by,
        "asked": asked,
        "request_digest": request_digest,
        "erased": erased,
        "remains": remains,
        "by_user_id": by_user_id,
    }
    return ledger.append("DATA_ERASED", tenant, body, now)


def by_whom(username: str | None) -> dict[str, Any]:
    """Who did it, by the number of the account; None for the server itself and for a command line."""
    user = users.find_user(username) if username else None
    return {"by_user_id": None if user is None else user.id}
