"""Audits from before windows were told from submissions: the migration says of each whose it is and what it counted."""

from typing import Any

import pytest
from sqlalchemy import text

from fairlens_backend.storage import migrate, session
from tests.api import submission
from tests.ingest_kit import NOW

pytestmark = pytest.mark.usefixtures("settings")


def go_to(revision: str) -> None:
    """Up to the newest schema, or down to an older one."""
    from alembic import command

    (command.upgrade if revision == "head" else command.downgrade)(migrate._alembic(), revision)


def test_submissions_and_windows_are_told_apart() -> None:
    """A submission is a part of its window, a window's own audit of none, and each has its model's name."""
    from fairlens_backend import prediction_submission, window_auditor
    from fairlens_backend.schemas.audits import WindowAuditRequest
    from fairlens_backend.schemas.checks import SubmitRequest

    go_to("head")
    handed_in = prediction_submission.submit("acme", SubmitRequest(**submission()), None, NOW)
    of_window = window_auditor.audit_window("acme", "hiring", WindowAuditRequest(), NOW)
    go_to("0003")
    go_to("head")
    with session.read_snapshot() as rows:
        found: Any = rows.execute(text("SELECT audit_id, model, submitted FROM audits")).all()
    session.dispose_engines()
    assert {row.audit_id: (row.model, bool(row.submitted)) for row in found} == {
        handed_in["audit_id"]: ("hiring", True),
        of_window["audit_id"]: ("hiring", False),
    }
