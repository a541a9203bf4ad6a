"""Audits for reports: days of decisions, and what a reader finds in the files."""

import io
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from pypdf import PdfReader

from fairlens_backend import audit_runner
from fairlens_backend.audit_runner import Context, Subject
from fairlens_backend.compliance_report import compliance_report
from fairlens_backend.core.counts import CountTable
from fairlens_backend.schemas.reports import ReportQuery

START = datetime(2026, 3, 1, tzinfo=UTC)
NOW = datetime(2026, 4, 2, tzinfo=UTC)
DAY = timedelta(days=1)
TITLES = (
    "Executive summary", "Scope and data", "Metric results", "Groups and crossings", "Trend and drift", "Mitigations",
    "Incidents and alerts", "Regulatory mapping and proofs",
)  # fmt: skip
FORBIDDEN = re.compile(r"\bNone\b|\b[Nn]a[Nn]\b|\binf\b|[Dd]ebias|[Uu]nbiased|[Ff]air model|\{[a-z_]+\}")


def decisions(women: int, men: int, truth: bool = True) -> CountTable:
    """`women` and `men` selected, of 100 each, in each of two regions; the outcomes are half favourable."""
    cells = [(sex, region, x) for sex, x in (("F", women), ("M", men)) for region in ("north", "south")]
    sex = [sex for sex, _, _ in cells for _ in range(100)]
    region = [region for _, region, _ in cells for _ in range(100)]
    chosen = np.concatenate([np.arange(100) < x for *_, x in cells]).astype(np.int64)
    known = np.tile([0, 1], 200) if truth else None
    return CountTable.from_arrays({"sex": sex, "region": region}, chosen, known)


def audit(day: int, table: CountTable, model: str = "loans", tenant: str = "acme") -> dict[str, Any]:
    """The audit of a day; the men are the reference group where there are any."""
    end = START + (day + 1) * DAY
    men = any("M" in group for group in table.groups)
    subject = Subject(tenant, model, "v1", {"reference_groups": {"sex": "M"}} if men else {})
    return audit_runner.run(subject, table, Context(window=(end - DAY, end)), end)


def falling_days() -> list[dict[str, Any]]:
    """Four even days, 60 of 100 each; then three in which 30 of 100 women are selected."""
    return [audit(day, decisions(60 if day < 4 else 30, 60)) for day in range(7)]


def query(form: str = "json", start: str = "2026-03-01", end: str = "2026-03-31") -> ReportQuery:
    return ReportQuery.model_validate({"start_date": start, "end_date": end, "format": form})


def report(model: str = "loans", tenant: str = "acme", **asked: str) -> dict[str, Any]:
    found: dict[str, Any] = compliance_report(tenant, model, query(**asked), NOW)["report"]
    return found


def text_of(content: bytes) -> str:
    """What a reader finds in a PDF, on one line."""
    pages = PdfReader(io.BytesIO(content)).pages
    return re.sub(r"\s+", " ", " ".join(page.extract_text() for page in pages))
