"""Where alerts go: a tenant's routes, by severity and model; what none of them takes goes to the channels of the settings.

A target is named by a key: `route:7`, or `default:slack` for the one of the settings. Messages in the outbox carry the
key alone; address and secret are looked up at delivery, so that neither is kept in a message.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from fairlens_backend import config, telemetry
from fairlens_backend.channels import CHANNELS, Channel
from fairlens_backend.errors import InvalidInput, NotFound
from fairlens_backend.outbound_http import read_address
from fairlens_backend.schemas.alerts import NewRoute, RouteChange
from fairlens_backend.security_utils import decrypt_text, encrypt_text
from fairlens_backend.storage import alert_routes, breakers, pages
from fairlens_backend.storage.alert_tables import AlertRoute
from fairlens_backend.storage.session import read_snapshot, unit_of_work

DEFAULT = "default:"
ROUTE = "route:"


@dataclass(frozen=True)
class Destination:
    """A channel and a target of it; `key` is how the outbox calls it, `name` how people do."""

    key: str
    name: str
    channel: Channel
    target: dict[str, Any]


def matching(tenant: str, model: str, severity: str) -> list[str]:
    """The keys of the targets that are told of an alert of this severity."""
    found = [
        f"{ROUTE}{row.id}"
        for row in alert_routes.enabled(tenant)
        if severity in row.severities and (not row.models or model in row.models)
    ]
    if found or severity not in config.words(config.current().alert_severities):
        return found
    return [f"{DEFAULT}{name}" for name in default_channels()]


def default_channels() -> list[str]:
    """The channels that the settings set up: those that ALERT_CHANNELS names, or all."""
    settings = config.current()
    chosen = config.words(settings.alert_channels)
    return [
        name
        for name, channel in CHANNELS.items()
        if channel.default_target(settings) is not None and (not chosen or name in chosen)
    ]


def channel_of(tenant: str, key: str) -> Channel | None:
    """The channel of a target; None when the route is gone or not in use."""
    if key.startswith(DEFAULT):
        name = key.removeprefix(DEFAULT)
        return CHANNELS[name] if name in default_channels() else None
    row = alert_routes.find(tenant, int(key.removeprefix(ROUTE)))
    return CHANNELS[row.channel] if row is not None and row.enabled else None


def destination(tenant: str, key: str) -> Destination:
    """A target with its address and secrets, for delivery.

    Raises
    ------
    NotFound : the route is gone, or the settings no longer have the channel
    """
    if key.startswith(DEFAULT):
        return default_destination(key.removeprefix(DEFAULT))
    with read_snapshot():
        row = alert_routes.find(tenant, int(key.removeprefix(ROUTE)))
        if row is None:
            number = key.removeprefix(ROUTE)
            raise NotFound(f"There is no route {number}; it may have been deleted.", id=int(number))
        name, channel, sealed = row.name, row.channel, row.encrypted_target
    return Destination(key, name, CHANNELS[channel], json.loads(decrypt_text(sealed)))


def default_destination(name: str) -> Destination:
    """The target of the settings for a channel.

    Raises
    ------
    NotFound : the settings have none
    """
    channel = CHANNELS.get(name)
    target = channel.default_target(config.current()) if channel else None
    if channel is None or target is None:
        needs = ", ".join(config.CHANNEL_NEEDS.get(name, ()))
        raise NotFound(f"The channel {name} is not set up: it needs {needs}.", channel=name)
    return Destination(f"{DEFAULT}{name}", f"{name} of the settings", channel, target)


def list_routes(tenant: str, limit: int, cursor: str | None, now: datetime) -> dict[str, Any]:
    """A page of the tenant's routes, oldest first, and beside it what the settings send where no route does.

    `delivery` says how a target does: "closed" (well), "open" (away, left alone until `open_until`) or "half_open".

    Raises
    ------
    InvalidInput : a cursor that no page gave
    """
    after = pages.decode_cursor(cursor)
    settings = config.current()
    with read_snapshot():
        rows = alert_routes.page(tenant, limit + 1, after)
        away = {str(one["target"]): one for one in breakers.shown(now)}
        items = [{**_shown(row), **_doing(away, f"{ROUTE}{row.id}")} for row in rows[:limit]]
    return {
        "items": items,
        "next_cursor": pages.encode_cursor(rows[limit - 1].id) if len(rows) > limit else None,
        "defaults": [
            {
                "channel": name,
                "severities": config.words(settings.alert_severities),
                **_doing(away, f"{DEFAULT}{name}"),
            }
            for name in default_channels()
        ],
    }


def add_route(tenant: str, wanted: NewRoute, by: str, now: datetime) -> dict[str, Any]:
    """Keep a route; its target is encrypted.

    Raises
    ------
    InvalidInput : an e-mail route without a mail server, neither its own nor of the settings; an address that could
        never be called
    """
    target = _checked(wanted.target.model_dump(exclude={"channel"}))
    channel = wanted.target.channel
    with unit_of_work():
        row = alert_routes.add(
            tenant=tenant,
            name=wanted.name,
            channel=channel,
            severities=_ordered(wanted.severities),
            models=sorted(set(wanted.models)),
            enabled=wanted.enabled,
            shown=CHANNELS[channel].shown(target),
            encrypted_target=encrypt_text(json.dumps(target)),
            created_by=by,
            created_at=now,
        )
        shown = _shown(row)
    telemetry.log("ALERT_ROUTE_ADDED", tenant=tenant, route=shown["id"], channel=channel, by=by)
    return shown


def change_route(tenant: str, route_id: int, wanted: RouteChange, by: str) -> dict[str, Any]:
    """Change what is named; the rest stays.

    Raises
    ------
    NotFound : no such route in the tenant
    InvalidInput : as for `add_route`
    """
    with unit_of_work():
        row = _found(tenant, route_id)
        row.name = wanted.name or row.name
        row.enabled = row.enabled if wanted.enabled is None else wanted.enabled
        row.severities = _ordered(wanted.severities) if wanted.severities else row.severities
        row.models = row.models if wanted.models is None else sorted(set(wanted.models))
        if wanted.target is not None:
            target = _checked(wanted.target.model_dump(exclude={"channel"}))
            row.channel = wanted.target.channel
            row.shown = CHANNELS[row.channel].shown(target)
            row.encrypted_target = encrypt_text(json.dumps(target))
        shown = _shown(row)
    telemetry.log("ALERT_ROUTE_CHANGED", tenant=tenant, route=route_id, by=by)
    return shown


def delete_route(tenant: str, route_id: int, by: str) -> dict[str, Any]:
    """Delete a route. What waits for it becomes a dead letter.

    Raises
    ------
    NotFound : no such route in the tenant
    """
    with unit_of_work():
        shown = _shown(_found(tenant, route_id))
        alert_routes.remove(tenant, route_id)
    telemetry.log("ALERT_ROUTE_DELETED", tenant=tenant, route=route_id, by=by)
    return shown


def _found(tenant: str, route_id: int) -> AlertRoute:
    row = alert_routes.find(tenant, route_id)
    if row is None:
        raise NotFound(f"There is no route {route_id}.", id=route_id)
    return row


def _checked(target: dict[str, Any]) -> dict[str, Any]:
    settings = config.current()
    if "url" in target:
        try:
            plain_http = settings.webhook_allow_private or not settings.production
            read_address(target["url"], plain_http=plain_http)
        except InvalidInput as error:
            raise InvalidInput(error.message, **{**error.details, "field": "target.url"}) from None
    if "to" in target and not target["smtp"] and not (settings.smtp_host and settings.smtp_from):
        raise InvalidInput(
            "target.smtp is missing, and the server has no mail server of its own (SMTP_HOST, SMTP_FROM).",
            field="target.smtp",
            got=None,
            expected="a mail server",
        )
    return target


def _doing(away: Mapping[str, Mapping[str, Any]], key: str) -> dict[str, Any]:
    known = away.get(key)
    until = known["open_until"] if known else None
    return {
        "delivery": known["state"] if known else "closed",
        "open_until": telemetry.timestamp(until) if until else None,
        "last_failure": known["last_reason"] if known else None,
    }


def _ordered(severities: Iterable[str]) -> list[str]:
    return [one for one in ("CRITICAL", "HIGH", "MEDIUM") if one in set(severities)]


def _shown(row: AlertRoute) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "channel": row.channel,
        "target": row.shown,
        "severities": row.severities,
        "models": row.models,
        "enabled": row.enabled,
        "created_by": row.created_by,
        "created_at": telemetry.timestamp(row.created_at),
    }
