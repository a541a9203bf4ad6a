"""What a tenant wants done with personal data: proxies on or off, which fields are names, what is kept at all."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from fairlens_backend import config, proxy_tables, telemetry
from fairlens_backend.core.enrich.pii_tokens import KEEP, KINDS
from fairlens_backend.errors import ConfigurationError, InvalidInput
from fairlens_backend.storage import privacy
from fairlens_backend.storage.detail_tables import TenantPrivacy
from fairlens_backend.storage.session import read_snapshot, unit_of_work

PROXIES: Final = ("gender", "race", "income_bracket")
DEFAULTS: Final[Mapping[str, Any]] = {
    "proxies": dict.fromkeys(PROXIES, False),
    "fields": {
        "first_name": ["first_name", "firstname", "given_name", "forename", "fname"],
        "surname": ["surname", "last_name", "lastname", "family_name", "lname"],
        "zip": ["zip", "zip_code", "zipcode", "postal_code", "postcode"],
    },
    "personal_fields": {},
    "store_features": True,
}
REREAD_AFTER: Final = timedelta(seconds=2)
_known: dict[tuple[str, str], tuple[datetime, "Privacy"]] = {}


@dataclass(frozen=True)
class Privacy:
    """A tenant's switches.

    Parameters
    ----------
    proxies : of `PROXIES`, those that the tenant asked for
    fields : where a first name, a surname and a ZIP code stand; the first one that an event has counts
    personal_fields : further fields whose whole value becomes a token of a kind, or that are no personal data ("keep")
    store_features : whether features and tags of single decisions are kept
    token_key_version : of the tenant's token key in use
    """

    proxies: frozenset[str]
    fields: Mapping[str, Sequence[str]]
    personal_fields: Mapping[str, str]
    store_features: bool
    token_key_version: int


def of(tenant: str, now: datetime) -> Privacy:
    """A tenant's switches, read anew after two seconds: what another process changed counts here by then."""
    key = (config.current().sqlalchemy_url, tenant)
    known = _known.get(key)
    if known is None or abs(now - known[0]) > REREAD_AFTER:
        with read_snapshot():
            row = privacy.find(tenant)
            known = (now, _read(row))
        _known[key] = known
    return known[1]


def forget(tenant: str) -> None:
    """Read the tenant's switches anew at the next event."""
    _known.pop((config.current().sqlalchemy_url, tenant), None)


def show(tenant: str) -> dict[str, Any]:
    """A tenant's switches with their defaults, who changed them last and when."""
    with read_snapshot():
        return _shown(privacy.find(tenant))


def change(tenant: str, wanted: Mapping[str, Any], by: str, now: datetime) -> dict[str, Any]:
    """Change some switches; those left out (or None) stay as they are. Where all of them are so already, nothing is written.

    Parameters
    ----------
    wanted : proxies {name: bool}, fields {"first_name" | "surname" | "zip": names of fields}, personal_fields
        {field: kind} in the place of the former ones, store_features

    Raises
    ------
    InvalidInput : nothing is named, a proxy whose tables are not there (it says what to install or set), or a kind that is none
    """
    _require_some(wanted)
    for name, on in (wanted.get("proxies") or {}).items():
        if on:
            _require_tables(name)
    for name, kind in (wanted.get("personal_fields") or {}).items():
        if kind not in (*KINDS, KEEP):
            expected = f"one of {', '.join((*KINDS, KEEP))}"
            raise InvalidInput(
                f"personal_fields has for one field {kind[:40]!r}, {expected} was expected.",
                field="personal_fields",
                got=kind[:40],
                expected=expected,
            )
        if not name.strip():
            raise InvalidInput("personal_fields has a field without a name.", field="personal_fields")
    with unit_of_work():
        row = privacy.find(tenant)
        before = row.switches if row is not None else {}
        switches = dict(before)
        for name in ("proxies", "fields"):
            if wanted.get(name) is not None:
                given = {key: value for key, value in wanted[name].items() if value is not None}
                switches[name] = {**switches.get(name, {}), **given}
        for name in ("personal_fields", "store_features"):
            if wanted.get(name) is not None:
                switches[name] = wanted[name]
        if switches == before:
            return _shown(row)
        shown = _shown(privacy.keep(tenant, switches, by, now))
    forget(tenant)
    on = [name for name, is_on in shown["proxies"].items() if is_on]
    telemetry.log("PRIVACY_CHANGED", tenant=tenant, by=by, proxies=on, store_features=shown["store_features"])
    return shown


def _require_some(wanted: Mapping[str, Any]) -> None:
    inner = [wanted.get(name) for name in ("proxies", "fields")]
    said = [value for one in inner for value in (one or {}).values()]
    said += [wanted.get(name) for name in ("personal_fields", "store_features")]
    if all(value is None for value in said):
        expected = "at least one switch in proxies or fields, or personal_fields, or store_features"
        raise InvalidInput(
            f"The body changes nothing; {expected} was expected.", field="body", expected=expected
        )


def _require_tables(name: str) -> None:
    try:
        tables_of(name)
    except (ConfigurationError, InvalidInput) as error:
        raise InvalidInput(
            f"The proxy {name} cannot be turned on: {error.message}",
            field=f"proxies.{name}",
            got=True,
            expected="false, or its tables on the server",
        ) from error


def tables_of(name: str) -> Any:
    """The tables of a proxy.

    Raises
    ------
    ConfigurationError, InvalidInput : they are not there, or no such tables
    """
    settings = config.current()
    if name == "gender":
        return proxy_tables.first_names(
            config.PROJECT_ROOT / settings.first_names_csv if settings.first_names_csv else None
        )
    if name == "race":
        return proxy_tables.ethnicity_tables()
    if not settings.income_by_zip_csv:
        raise ConfigurationError("income brackets by ZIP need a table of households: set INCOME_BY_ZIP_CSV")
    return proxy_tables.income_by_zip(config.PROJECT_ROOT / settings.income_by_zip_csv)


def _read(row: TenantPrivacy | None) -> Privacy:
    shown = _shown(row)
    return Privacy(
        frozenset(name for name, on in shown["proxies"].items() if on),
        shown["fields"],
        shown["personal_fields"],
        shown["store_features"],
        shown["token_key_version"],
    )


def _shown(row: TenantPrivacy | None) -> dict[str, Any]:
    own = row.switches if row is not None else {}
    return {
        "proxies": {**DEFAULTS["proxies"], **own.get("proxies", {})},
        "fields": {**DEFAULTS["fields"], **own.get("fields", {})},
        "personal_fields": own.get("personal_fields", {}),
        "store_features": own.get("store_features", True),
        "token_key_version": row.token_key_version if row is not None else 1,
        "updated_by": row.updated_by if row is not None else None,
        "updated_at": telemetry.timestamp(row.updated_at) if row is not None else None,
    }


os.register_at_fork(after_in_child=_known.clear)
