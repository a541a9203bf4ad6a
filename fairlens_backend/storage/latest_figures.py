"""A model's newest audit: that of the window that ended last, of that window the newest revision."""

from sqlalchemy import func, select

from fairlens_backend.storage import figures
from fairlens_backend.storage.session import current_session
from fairlens_backend.storage.tables import Audit, AuditFigure, FairnessCheck


def newest_audit(tenant: str, model: str) -> Audit | None:
    """The audit; None where no audit of the model has figures.

    Each attribute's newest row is found by a few steps into the index of series, whatever the history.
    """
    found = [
        row
        for attribute in figures.attributes(tenant, model)
        for apart in (True, False)
        for known in (True, False)
        if (row := _last(tenant, model, attribute, apart=apart, known=known)) is not None
    ]
    # By time and then by number: an older window that is audited anew is no news.
    return current_session().get(Audit, max(found)[2]) if found else None


def _last(
    tenant: str, model: str, attribute: str, *, apart: bool, known: bool
) -> tuple[object, int, str] | None:
    wanted = (
        select(AuditFigure.at, AuditFigure.id, AuditFigure.audit_id)
        .where(
            AuditFigure.tenant == tenant,
            AuditFigure.model == model,
            AuditFigure.attribute == attribute,
            AuditFigure.metric == figures.LEADING,
            AuditFigure.apart == apart,
            AuditFigure.known == known,
        )
        .order_by(AuditFigure.at.desc(), AuditFigure.id.desc())
        .limit(1)
    )
    row = current_session().execute(wanted).first()
    return None if row is None else (row.at, row.id, row.audit_id)


def newest_record(tenant: str, model: str) -> int:
    """The number of the newest record of a model, which every audit adds one to; 0 before the first."""
    newest = select(func.max(FairnessCheck.id)).where(
        FairnessCheck.tenant == tenant, FairnessCheck.model == model
    )
    return current_session().scalar(newest) or 0
