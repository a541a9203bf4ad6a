"""Alerts: their text for a person, their message in the outbox, and its delivery.

    audit_runner, in its unit of work: compose_alert_text ─► notify ─► outbox
                                                                         │
                          the clock: deliver_due ─► claim ─► POST ─► mark, for one message at a time

A crash between the claim and the mark is mended by the claim's end: the message goes out again under its old id.
No transaction is open while the receiver is waited for.
"""

import hashlib
import random
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from fairlens_backend import config, telemetry
from fairlens_backend.storage import heartbeats, outbox
from fairlens_backend.storage.session import current_session, read_snapshot, unit_of_work
from fairlens_backend.webhooks import Delivery, send_webhook

EVENT = "fairness.alert"
WEBHOOK = "webhook"
"""The outbox target: the channel. Address and secret are the settings' at delivery, so neither is kept in a row."""
CLOCK = "clock"
SHORT_METRICS = ("dir", "spd", "eod", "aod", "theil")
LEASE_SLACK_S = 120.0  # finding a name has no timeout of its own
LEASE_TIMEOUTS = 8  # a delivery may wait for four addresses to take the connection, then for the answer
ROUND_S = 10.0  # a round that waited so long for receivers leaves the rest to the next one
MAX_SENTENCES = 20

WHAT_TO_DO = {
    "CRITICAL": (
        "Do not let this model decide alone until a person has looked at these figures.",
        "Find what changed: data, features, threshold, who applies; the audit lists every group with its rates.",
        "Verify this record, then decide on mitigation or on going back to the version before.",
    ),
    "HIGH": (
        "Have a person look at these figures before the model's next release, within a day.",
        "Find what changed: data, features, threshold, who applies; the audit lists every group with its rates.",
        "Verify this record and plan a mitigation.",
    ),
}

Sender = Callable[..., Delivery]


def compose_alert_text(
    assessment: Mapping[str, Any], model: str, version: str, record_id: str, now: datetime
) -> str:
    """The alert as a person reads it: model, groups, values against limits, sizes, what to do. Figures of groups only.

    Parameters
    ----------
    assessment : what `core.assessment.assess` returns

    Examples
    --------
    >>> from datetime import UTC
    >>> text = compose_alert_text({"overall_severity": "HIGH", "sample_size": 200, "labelled_size": 0, "attributes": {},
    ...     "sentences": ["F is selected 0.70 times as often as M."]}, "loan", "2", "rec_1", datetime(2026, 1, 2, tzinfo=UTC))
    >>> print(text.splitlines()[0])
    HIGH: model loan (version 2) treats groups differently beyond its limits.
    """
    severity = assessment["overall_severity"]
    sentences = assessment["sentences"]
    lines = [
        f"{severity}: model {model} (version {version}) treats groups differently beyond its limits.",
        f"Checked at {telemetry.timestamp(now)} on {assessment['sample_size']} decisions, "
        f"{assessment['labelled_size']} of them with a known outcome. Record {record_id}.",
        "",
        "Findings:",
        *(f"- {sentence}" for sentence in sentences[:MAX_SENTENCES]),
    ]
    if len(sentences) > MAX_SENTENCES:
        lines.append(f"- {len(sentences) - MAX_SENTENCES} more in the audit.")
    lines += ["", "Limits breached, by more than chance explains:", *_breach_lines(assessment)]
    lines += ["", "What to do next:"]
    lines += [f"{number}. {step}" for number, step in enumerate(what_to_do(severity), 1)]
    lines.append(f"Evidence: GET {verify_path(record_id)}")
    return "\n".join(lines)


def notify(tenant: str, check: Mapping[str, Any], alert_text: str, now: datetime) -> str | None:
    """Put the alert of a record into the outbox, in the unit of work that writes the record.

    Parameters
    ----------
    check : record_id, audit_id, model, model_version, severity, sample_size, the five short metrics, sentences
    alert_text : the text that the record keeps encrypted; only its digest goes out, to be compared with it

    Returns
    -------
    str : the message's id, the same for the same record, which is announced once; None when no webhook is set
    """
    if not config.current().webhook_url:
        return None
    record_id = check["record_id"]
    message_id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{EVENT}:{tenant}:{record_id}"))
    payload = {
        "event": EVENT,
        "message_id": message_id,
        "record_id": record_id,
        "audit_id": check["audit_id"],
        "tenant": tenant,
        "model": check["model"],
        "model_version": check["model_version"],
        "severity": check["severity"],
        "metrics": {name: check.get(name) for name in SHORT_METRICS},
        "sentences": list(check.get("sentences") or ())[:MAX_SENTENCES],
        "sample_size": check["sample_size"],
        "timestamp": telemetry.timestamp(now),
        "what_to_do": list(what_to_do(check["severity"])),
        "verify_url": verify_path(record_id),
        "alert_text_sha256": hashlib.sha256(alert_text.encode()).hexdigest(),
    }
    with unit_of_work():
        outbox.add(tenant, WEBHOOK, payload, message_id, now)
    return message_id


def deliver_due(
    now: datetime, *, limit: int = 20, send: Sender = send_webhook, rng: random.Random | None = None
) -> dict[str, int]:
    """Deliver what is due, oldest first: at most `limit` messages, and no longer than about 10 s and one timeout.

    A round ends at the first receiver that does not answer at all: the others would wait for it in vain.

    Returns
    -------
    dict : how many were delivered, put back for later (`retry`), set aside (`dead`), or `lost` to another worker

    Raises
    ------
    RuntimeError : called inside a unit of work, whose transaction would stay open meanwhile
    Unavailable : the database went away; what was claimed is delivered again when its claim ends
    """
    _refuse_open_transaction()
    done = {"delivered": 0, "retry": 0, "dead": 0, "lost": 0}
    settings = config.current()
    if not settings.webhook_url:
        return done
    waited_s = 0.0
    for claim in _claims(now, limit, LEASE_SLACK_S + LEASE_TIMEOUTS * settings.webhook_timeout_s):
        delivery = send(claim.payload, message_id=claim.message_id, now=now)
        done[_mark(claim, delivery, now, rng or random.SystemRandom())] += 1
        waited_s += delivery.elapsed_s
        if waited_s > ROUND_S or (delivery.outcome == "retry" and delivery.status_code is None):
            break
    return done


def what_to_do(severity: str) -> tuple[str, ...]:
    """The next steps for a person, by severity."""
    return WHAT_TO_DO.get(severity, ("Look at the audit before the model's next training.",))


def verify_path(record_id: str) -> str:
    """Where the record's evidence is checked."""
    return f"/api/verify_alert/{record_id}"


def delivery_health(now: datetime) -> dict[str, Any]:
    """Messages pending, due and dead, and the age of the oldest that waits, in seconds."""
    with read_snapshot():
        return outbox.health(now)


def note_round(holder: str, now: datetime) -> None:
    """Keep that a round of the clock ended now, in the process `holder`."""
    with unit_of_work():
        heartbeats.beat(CLOCK, holder, now)


def last_round() -> datetime | None:
    """When a round of any process's clock last ended."""
    with read_snapshot():
        return heartbeats.last_beat(CLOCK)


def _breach_lines(assessment: Mapping[str, Any]) -> Iterator[str]:
    for attribute, metrics in assessment["attributes"].items():
        for metric in metrics.values():
            if not (metric["breached"] and metric["significant"]):
                continue
            sizes = metric["sample_sizes"]
            compared = " compared with ".join(
                f"{group} ({sizes[group]} decisions)" if group in sizes else group
                for group in metric["groups_compared"]
            )
            yield (
                f"- {metric['name'].replace('_', ' ')} of {attribute}: {metric['value']:.4f}, "
                f"limit {metric['threshold']:g}" + (f"; {compared}" if compared else "")
            )


def _refuse_open_transaction() -> None:
    try:
        current_session()
    except RuntimeError:
        return
    raise RuntimeError("deliver_due() inside a unit of work: its transaction would be open during HTTP")


def _claims(now: datetime, limit: int, lease_s: float) -> Iterator[outbox.Claim]:
    for _ in range(limit):
        with read_snapshot():
            if not outbox.any_due(now):
                return
        with unit_of_work():
            claims = outbox.claim_due(now, 1, lease_s)
        if not claims:
            return
        yield claims[0]


def _mark(claim: outbox.Claim, delivery: Delivery, now: datetime, rng: random.Random) -> str:
    with unit_of_work():
        if delivery.delivered:
            outbox.mark_delivered(claim, now)
            outcome = "delivered"
        else:
            outcome = outbox.mark_failed(
                claim,
                delivery.reason,
                now,
                max_attempts=config.current().webhook_max_attempts,
                rng=rng,
                permanent=delivery.outcome == "failed",
                retry_after_s=delivery.retry_after_s,
            )
    telemetry.log(
        f"WEBHOOK_{outcome.upper()}",
        level={"delivered": "info", "dead": "error"}.get(outcome, "warning"),
        message_id=claim.message_id,
        attempts=claim.attempts,
        status=delivery.status_code,
        reason=delivery.reason,
    )
    return outcome
