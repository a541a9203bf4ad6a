"""Registered models: their declarations as rows, their artefacts as files that are named by their own digest.

Loading an artefact executes code that is inside it, so the bytes that are loaded are the bytes that were
hashed and found equal to what was registered: read once, hashed, loaded from memory.
"""

import hashlib
import io
import json
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from fairlens_backend import telemetry
from fairlens_backend.core.canonical_json import canonical_json
from fairlens_backend.errors import Conflict, InvalidInput, NotFound, TamperedArtefact
from fairlens_backend.storage import artefacts, ledger_events, models
from fairlens_backend.storage.models import FoundModel
from fairlens_backend.storage.session import read_snapshot, unit_of_work
from fairlens_backend.storage.tables import RegisteredModel

NAME_RULE = "1 to 100 letters, digits, dots, dashes or underscores, the first a letter or digit"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_MAX_PAGE = 100
_MAX_LOADED = 4
_MAX_NAMED = 20

_MAPPINGS = ("columns", "favourable", "reference_groups", "thresholds", "metadata")

_loaded: OrderedDict[str, Any] = OrderedDict()
_loaded_lock = threading.Lock()


def register_model(
    name: str,
    version: str,
    *,
    declarations: Mapping[str, Any],
    artefact: artefacts.Source | None = None,
    created_by: str,
    now: datetime,
    tenant: str = "default",
    replace: bool = False,
) -> dict[str, Any]:
    """Keep a model's declarations and, when there is one, a copy of its artefact under its SHA-256.

    The artefact is never loaded here. It is copied in pieces before the write lock is taken, so call this
    outside of a unit of work where the artefact may be large. The file is in place before the row is; a crash
    between leaves a file that no row names, which harms nobody and is taken up by the next equal upload.

    Parameters
    ----------
    name, version : 1 to 100 characters of ``[A-Za-z0-9._-]``, the first a letter or digit
    declarations : JSON-like; columns, favourable, reference_groups, features, thresholds and so on, kept as given
    artefact : the bytes, a file's path, or a binary stream; None for a model that only submits its decisions
    created_by : who registers it
    now : aware datetime
    replace : put this in the place of a registration with the same name and version instead of refusing it

    Returns
    -------
    dict as `get_model` gives it

    Raises
    ------
    InvalidInput : a name, a version or the declarations are not as described
    Conflict : the tenant has this name and version already
    NotFound : `artefact` is a path where no file is
    Unavailable : the disk is full, or the database does not answer
    """
    check_name("name", name)
    check_name("version", version)
    kept = _check_declarations(declarations)
    with artefacts.draft_of(artefact) as draft, unit_of_work():
        # All registrations queue here, so what `find` says stays true until the row is in.
        models.lock_registrations()
        row = models.find(tenant, name, version)
        if row is not None and not replace:
            raise Conflict(
                f"The model {name!r} has a version {version!r} already. Choose another version.",
                model_name=name,
                version=version,
            )
        file, digest = draft.put_in_place() if draft else (None, None)
        if row is None:
            row = models.insert(
                tenant=tenant,
                name=name,
                version=version,
                declarations=kept,
                artefact_path=file,
                artefact_sha256=digest,
                created_by=created_by,
                created_at=now,
            )
        else:
            row.declarations, row.artefact_path, row.artefact_sha256 = kept, file, digest
            row.created_by, row.created_at = created_by, now
        made = _as_dict(row)
        declared = hashlib.sha256(canonical_json(kept)).hexdigest()
        ledger_events.model_registered(tenant, name, version, declared, digest, created_by, now)
    telemetry.log("MODEL_REGISTERED", model=name, version=version, tenant=tenant, artefact_sha256=digest)
    return made


def get_model(name: str, version: str | None = None, *, tenant: str = "default") -> dict[str, Any]:
    """A registered model: name, version, declarations, artefact_sha256 (None without one), created_by, created_at.

    Parameters
    ----------
    version : the one that was registered last when None

    Raises
    ------
    NotFound : the tenant has no such model or version; the message names the versions there are
    """
    return _as_dict(_find(name, version, tenant))


def list_models(tenant: str = "default", limit: int = 20, cursor: str | None = None) -> dict[str, Any]:
    """The tenant's models, newest first: ``{"items": [..], "next_cursor": text or None}``.

    Parameters
    ----------
    limit : models on a page, 1 to 100
    cursor : the `next_cursor` of the page before

    Raises
    ------
    InvalidInput : the limit or the cursor is not as described
    """
    if not 1 <= limit <= _MAX_PAGE:
        expected = f"1 to {_MAX_PAGE}"
        raise InvalidInput(
            f"limit is {limit}, {expected} was expected", field="limit", got=limit, expected=expected
        )
    if cursor is not None and not re.fullmatch("[0-9]{1,18}", cursor):
        raise InvalidInput(
            f"cursor is {cursor!r:.80}, the next_cursor of an earlier page was expected",
            field="cursor",
            got=str(cursor)[:80],
            expected="the next_cursor of an earlier page",
        )
    with read_snapshot():
        rows = models.page(tenant, limit + 1, None if cursor is None else int(cursor))
    more = len(rows) > limit
    return {
        "items": [_as_dict(row) for row in rows[:limit]],
        "next_cursor": str(rows[limit - 1].id) if more else None,
    }


def load_model(name: str, version: str | None = None, *, tenant: str = "default") -> Any:
    """The estimator of a registered model, loaded only from bytes that have the registered digest.

    The file is read and hashed at every call; an estimator that was made from the same bytes before is given
    again instead of being loaded anew (the last four are kept). Estimators are shared: do not refit one.

    Parameters
    ----------
    version : the one that was registered last when None

    Raises
    ------
    NotFound : no such model for this tenant, one without an artefact, or its file is gone
    TamperedArtefact : the file is not the one that was registered; nothing in it was executed
    InvalidInput : the file is the registered one, but no model can be made of it here
    """
    row = _find(name, version, tenant)
    label = f"{row.name} {row.version}"
    if row.artefact_path is None:
        raise NotFound(
            f"The model {label} was registered without an artefact, so it cannot score rows here. "
            "Submit its predictions, or register a version with the artefact.",
            model_name=row.name,
            version=row.version,
        )
    try:
        content = artefacts.read(row.artefact_path)
    except FileNotFoundError:
        raise NotFound(
            f"The artefact of the model {label} is registered, but its file is missing on the server. "
            "Restore it, or register a new version.",
            model_name=row.name,
            version=row.version,
            artefact_sha256=row.artefact_sha256,
        ) from None
    digest = hashlib.sha256(content).hexdigest()
    if digest != row.artefact_sha256:
        telemetry.log("ARTEFACT_TAMPERED", level="error", model=row.name, version=row.version, tenant=tenant)
        raise TamperedArtefact(
            f"The artefact of the model {label} is not the file that was registered. It was not loaded.",
            model_name=row.name,
            version=row.version,
            registered_sha256=row.artefact_sha256,
            found_sha256=digest,
        )
    with _loaded_lock:
        if digest in _loaded:
            _loaded.move_to_end(digest)
            return _loaded[digest]
    estimator = _unpickle(content, label)
    with _loaded_lock:
        _loaded[digest] = estimator
        while len(_loaded) > _MAX_LOADED:
            _loaded.popitem(last=False)
    return estimator


def check_name(field: str, value: Any) -> None:
    """Raise InvalidInput, naming the field, unless the value can be a name or a version."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise InvalidInput(
            f"{field} is {value!r:.120}, {NAME_RULE}, were expected",
            field=field,
            got=str(value)[:100],
            expected=NAME_RULE,
        )


def _unpickle(content: bytes, label: str) -> Any:
    import joblib

    try:
        estimator = joblib.load(io.BytesIO(content))
    except Exception as error:  # code from elsewhere runs here: it may raise anything
        raise InvalidInput(
            f"The artefact of the model {label} cannot be loaded ({type(error).__name__}). It must be a joblib or "
            "pickle file whose libraries are installed on this server.",
            field="model_name",
            got=type(error).__name__,
            expected="a joblib or pickle file of an estimator",
        ) from error
    if not callable(getattr(estimator, "predict", None)):
        raise InvalidInput(
            f"The artefact of the model {label} is a {type(estimator).__name__}, which has no predict method",
            field="model_name",
            got=type(estimator).__name__,
            expected="an object with a predict method",
        )
    return estimator


def _find(name: str, version: str | None, tenant: str) -> FoundModel:
    there: list[str] = []
    # A name that cannot be registered is not asked for: PostgreSQL refuses a NUL even in a comparison.
    if _NAME.fullmatch(name):
        with read_snapshot():
            possible = version is None or _NAME.fullmatch(version)
            row = models.read(tenant, name, version) if possible else None
            if row is not None:
                return row
            there = models.versions(tenant, name, _MAX_NAMED)
    # Whatever was asked for is repeated cut: it comes from a caller and may be of any length.
    if not there:
        raise NotFound(f"There is no model {name!r:.110}.", model_name=name[:100])
    raise NotFound(
        f"The model {name!r} has no version {version!r:.110}. There is: {', '.join(there)}.",
        model_name=name,
        version=(version or "")[:100],
        versions=there,
    )


def _as_dict(row: RegisteredModel | FoundModel) -> dict[str, Any]:
    return {
        "name": row.name,
        "version": row.version,
        "declarations": row.declarations,
        "artefact_sha256": row.artefact_sha256,
        "created_by": row.created_by,
        "created_at": telemetry.timestamp(row.created_at),
    }


def _check_declarations(declarations: Mapping[str, Any]) -> dict[str, Any]:
    """A copy that JSON can hold; the doors check the fields themselves."""
    expected = "an object of text, finite numbers, lists and objects"
    if not isinstance(declarations, Mapping):
        raise InvalidInput(f"declarations must be {expected}", field="declarations", expected=expected)
    for field in _MAPPINGS:
        if not isinstance(declarations.get(field) or {}, Mapping):
            raise InvalidInput(f"{field} must be an object", field=field, expected="an object")
    if isinstance(declarations.get("features"), str):
        raise InvalidInput("features must be a list of column names", field="features", expected="a list")
    try:
        copy: dict[str, Any] = json.loads(json.dumps(dict(declarations), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"declarations must be {expected}: {error}", field="declarations", expected=expected
        ) from None
    return copy
