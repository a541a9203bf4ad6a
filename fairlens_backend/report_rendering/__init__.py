"""A report's data as PDF and as HTML: the same sections, the same plots, set in two ways."""

from collections.abc import Mapping
from typing import Any

from fairlens_backend.report_rendering.html import html_document
from fairlens_backend.report_rendering.html import policy_of as content_policy
from fairlens_backend.report_sections import sections

__all__ = ["as_html", "as_pdf", "content_policy"]


def as_pdf(report: Mapping[str, Any], sha256: str) -> bytes:
    """The report as PDF, A4; the same data gives the same bytes."""
    from fairlens_backend.report_rendering.pdf import pdf_document  # reportlab: not for those who want HTML

    return pdf_document(report["document"], sections(report), sha256)


def as_html(report: Mapping[str, Any], sha256: str) -> bytes:
    """The report as one HTML file without scripts and outside resources; the same data gives the same bytes."""
    return html_document(report["document"], sections(report), sha256)
