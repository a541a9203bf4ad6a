"""The files that are made of a report's data: their bytes, what a reader finds in them, what they do without."""

import base64
import hashlib
import io
import json
import re
from typing import Any

import numpy as np
import pytest
import rfc8785
from pypdf import PdfReader

from fairlens_backend.compliance_report import compliance_report, report_file
from fairlens_backend.core.counts import CountTable
from fairlens_backend.storage import tables
from fairlens_backend.storage.session import current_session, unit_of_work
from tests.report_kit import (
    DAY,
    FORBIDDEN,
    NOW,
    TITLES,
    audit,
    decisions,
    falling_days,
    query,
    report,
    text_of,
)

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def falling() -> list[dict[str, Any]]:
    """Four even days, then three in which half as many women are selected."""
    return falling_days()


def test_an_altered_audit_is_told(falling: list[dict[str, Any]]) -> None:
    """A result that is changed in the database no longer has its record's digest; the report says so, and where."""
    with unit_of_work():
        row = current_session().get_one(tables.Audit, falling[6]["audit_id"])
        row.result = {**row.result, "overall_severity": "PASS"}
    (latest, *others) = report()["evidence"]["cited"]
    assert latest["record_intact"] and not latest["audit_intact"]
    assert all(one["audit_intact"] for one in others)
    assert "EVIDENCE DOES NOT MATCH." in text_of(report_file("acme", "loans", query("pdf"), NOW).content)


def test_the_hash_is_of_the_canonical_json(falling: list[dict[str, Any]]) -> None:
    """As another library writes it, after a trip through JSON; and it is printed in both documents, on every page of the PDF."""
    found = compliance_report("acme", "loans", query(), NOW)
    sent = json.loads(json.dumps(found["report"], allow_nan=False))
    assert hashlib.sha256(rfc8785.dumps(sent)).hexdigest() == found["sha256"]
    pdf = report_file("acme", "loans", query("pdf"), NOW).content
    assert all(found["sha256"] in page.extract_text() for page in PdfReader(io.BytesIO(pdf)).pages)
    html = report_file("acme", "loans", query("html"), NOW).content.decode()
    assert html.count(found["sha256"]) == 2  # the footer of the page and that of printed ones


@pytest.mark.no_cover
def test_the_same_rows_give_the_same_bytes(falling: list[dict[str, Any]]) -> None:
    """Whenever it is asked for, and whatever another model does meanwhile."""
    for form in ("pdf", "html"):
        first = report_file("acme", "loans", query(form), NOW).content
        audit(7, decisions(10, 60), model=f"another-{form}")
        assert report_file("acme", "loans", query(form), NOW + 40 * DAY).content == first


def test_the_pdf_has_all_sections_numbers_and_names(falling: list[dict[str, Any]]) -> None:
    """Contents, bookmarks, page numbers, title, author, language; no half-made text."""
    content = report_file("acme", "loans", query("pdf"), NOW).content
    reader, text = PdfReader(io.BytesIO(content)), text_of(content)
    for number, title in enumerate(TITLES, 1):
        assert text.count(f"{number}. {title}") >= 2  # in the contents and above the section
    total = len(reader.pages)
    for number, page in enumerate(reader.pages, 1):
        assert f"Page {number} of {total}" in page.extract_text()
    chapters = [one.title for one in reader.outline if not isinstance(one, list)]
    assert chapters == [f"{number}. {title}" for number, title in enumerate(TITLES, 1)]
    assert reader.metadata is not None and reader.metadata.title == "Fairness compliance report: loans"
    assert reader.metadata.author and reader.metadata.author.startswith("FairLens")
    assert reader.trailer["/Root"]["/Lang"] == "en"
    assert not FORBIDDEN.search(text), FORBIDDEN.search(text)
    assert "0.786" in text.replace("\xa0", " ") and "F (n = 1,400) against M (n = 1,400)" in text.replace(
        "\xa0", " "
    )


def test_the_html_stands_alone(falling: list[dict[str, Any]]) -> None:
    """No script, nothing from outside, no style but the one whose hash the policy names; every plot has a title and a table."""
    file = report_file("acme", "loans", query("html"), NOW)
    html = file.content.decode()
    assert (
        "<script" not in html and "http://" not in html and "https://" not in html and " style=" not in html
    )
    assert "onload" not in html and "<img" not in html and "<link" not in html
    assert file.content_policy is not None and "'unsafe" not in file.content_policy
    named = re.search(r"style-src 'sha256-([^']+)'", file.content_policy)
    style = re.search(r"<style>(.*?)</style>", html, re.DOTALL)
    assert named and style
    assert base64.b64encode(hashlib.sha256(style.group(1).encode()).digest()).decode() == named.group(1)
    plots = re.findall(r'<svg role="img"[^>]*aria-labelledby="(plot-\d+)-title', html)
    assert (
        len(plots) == len(set(plots)) == 2 + 1 + 4
    )  # two attributes, a crossing, two metrics of each attribute
    for number in plots:
        assert f'<title id="{number}-title">' in html and f'<desc id="{number}-desc">' in html
    assert not FORBIDDEN.search(re.sub(r"<style>.*?</style>", "", html, flags=re.DOTALL))


@pytest.mark.parametrize("form", ["pdf", "html"])
def test_names_are_texts_and_no_markup(form: str) -> None:
    """A group called like a tag, one in a script that the font lacks, and one of 200 letters."""
    names = ["<b>&amp;</b><script>alert(1)</script>", "महिला", "x" * 200]
    group = [name for name in names for _ in range(60)]
    audit(0, CountTable.from_arrays({"sex": group}, np.tile([0, 1], 90)))
    content = report_file("acme", "loans", query(form), NOW).content
    if form == "html":
        assert b"<script>" not in content and "महिला".encode() in content
    else:
        text = text_of(content)
        assert "[U+092E]" in text and "<script>" in text and "are written by their code points" in text


def test_a_file_is_named_after_model_and_days(falling: list[dict[str, Any]]) -> None:
    """Also its media type."""
    file = report_file("acme", "loans", query("pdf"), NOW)
    assert file.name == "fairness-report_loans_2026-03-01_2026-03-31.pdf"
    assert file.media_type == "application/pdf" and file.content.startswith(b"%PDF-")
