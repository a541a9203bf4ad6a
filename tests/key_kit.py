"""What the tests of keys share: something encrypted and something tokenised of each kind, and running the jobs that follow."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from fairlens_backend import job_runner, letter_sealer, security_utils
from fairlens_backend.job_steps import Call, Step
from fairlens_backend.storage import event_details
from fairlens_backend.storage.alert_tables import AlertRoute
from fairlens_backend.storage.event_details import Details
from fairlens_backend.storage.event_tables import DeadLetter
from fairlens_backend.storage.ledger_tables import LedgerEntry
from fairlens_backend.storage.session import read_snapshot, unit_of_work
from tests import evidence_kit
from tests.ingest_kit import NOW, event, send

MAIL = "ann.lee@example.org"
SECRET = "https://hooks.example.org/secret"


def fill(n: int = 3) -> None:
    """n alert texts, dead letters with a personal value, routes with a secret, and batches with the same personal value."""
    for number in range(1, n + 1):
        evidence_kit.add(number, alert=f"text {number}")
        send([{**event(f"bad-{number}"), "prediction": 5, "features": {"email": MAIL}}])
        send([event(f"e{number}", features={"email": MAIL, "note": f"from {MAIL}"})])
        route(f"route {number}")


def route(name: str) -> None:
    """A route of alerts with a secret address."""
    with unit_of_work() as session:
        session.add(
            AlertRoute(
                tenant="acme", name=name, channel="slack", severities=["HIGH"], models=[], enabled=True, shown="slack",
                encrypted_target=security_utils.encrypt_text(SECRET), created_by="ann", created_at=NOW,
            )
        )  # fmt: skip


def sealed() -> dict[str, list[str]]:
    """Every encrypted token, by what it is."""
    with read_snapshot() as session:
        letters = list(session.scalars(select(DeadLetter.encrypted_event).order_by(DeadLetter.id)))
        routes = list(session.scalars(select(AlertRoute.encrypted_target).order_by(AlertRoute.id)))
    return {
        "alert_texts": [row["encrypted_alert"] for row in evidence_kit.rows()],
        "dead_letters": letters,
        "alert_routes": routes,
    }


def opened() -> dict[str, list[Any]]:
    """What they say."""
    found = sealed()
    return {
        "alert_texts": [security_utils.decrypt_text(one) for one in found["alert_texts"]],
        "dead_letters": [letter_sealer.open_letter(one)[0] for one in found["dead_letters"]],
        "alert_routes": [security_utils.decrypt_text(one) for one in found["alert_routes"]],
    }


def details() -> list[Details]:
    """The details of all batches."""
    with read_snapshot() as session:
        batches = list(session.scalars(select(event_details_batch())))
        return [one for _, one in event_details.read(batches)]


def event_details_batch() -> Any:
    """The column of batches, in order."""
    from fairlens_backend.storage.detail_tables import EventDetails

    return EventDetails.batch_id


def tokens_kept() -> set[str]:
    """Every token of the planted address that is kept, in details and in dead letters."""
    found = {one.features["email"][0] for one in details()}  # type: ignore[call-overload]
    for letter in opened()["dead_letters"]:
        found.add(letter["features"]["email"])
    return found


def run_jobs(now: datetime = NOW) -> int:
    """Run what is due, then what waited for the second pass; how many steps."""
    steps = job_runner.run_due(now, budget_s=1e9)
    return steps + job_runner.run_due(now + timedelta(minutes=1), budget_s=1e9)


def steps_of(do: Callable[[Call], Step], tenant: str, version: int, now: datetime = NOW) -> list[Step]:
    """All steps of a job by hand."""
    done: list[Step] = []
    while not done or done[-1].result is None:
        done.append(do(Call(tenant, {"version": version}, done[-1].checkpoint if done else None, "ann", now)))
    return done


def events_of(key: str) -> list[dict[str, Any]]:
    """The bodies of KEY_ROTATED in the ledger about a kind, with the tenant."""
    import json

    with read_snapshot() as session:
        leaves = list(session.scalars(select(LedgerEntry.leaf).order_by(LedgerEntry.leaf_index)))
    entries = [json.loads(leaf) for leaf in leaves]
    return [
        {"tenant": one["tenant"], **one["body"]}
        for one in entries
        if one["type"] == "KEY_ROTATED" and one["body"]["key"] == key
    ]
