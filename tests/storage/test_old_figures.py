"""Audits from before there were figures get the same ones from their stored results as they would have kept."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from fairlens_backend.storage import migrate
from fairlens_backend.storage.session import current_session, dispose_engines, read_snapshot, unit_of_work
from tests.test_drift_reader import HOUR, audit, loans

pytestmark = pytest.mark.usefixtures("settings")

COLUMNS = (
    "audit_id, tenant, model, model_version, attribute, metric, at, window_start, apart, known, value, lower, upper,"
    " standard_error, n, threshold, status, severity"
)


def rows() -> list[Any]:
    with read_snapshot():
        wanted = text(f"SELECT {COLUMNS} FROM audit_figures ORDER BY audit_id, attribute, metric")
        return [tuple(row) for row in current_session().execute(wanted)]


def go_to(revision: str) -> None:
    from alembic import command

    dispose_engines()
    (command.upgrade if revision == "head" else command.downgrade)(migrate._alembic(), revision)


def test_the_figures_of_old_audits_are_those_that_they_would_have_kept() -> None:
    """Every figure of three audits, two of which share rows, is what it was; an audit that has its own keeps them."""
    migrate.upgrade()
    for number in range(3):
        audit(number, loans(100, 100 - 20 * number), every=timedelta(minutes=40))
    before = rows()
    assert len(before) == 3 * 2 * 12 and {row[8] for row in before} == {True, False}
    go_to("0009")
    with unit_of_work() as session:
        session.execute(text("DELETE FROM audit_figures"))
    go_to("head")
    assert rows() == before
    audit(9, loans(100, 100), every=HOUR)
    after = rows()
    go_to("0009")
    go_to("head")
    assert rows() == after and len(after) == 4 * 2 * 12
