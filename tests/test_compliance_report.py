"""The report's data: which rows, which figures, what is said where nothing is known; and the files that are made of it."""

import hashlib
import io
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
import rfc8785
from pypdf import PdfReader

from fairlens_backend import audit_runner, model_registry
from fairlens_backend.audit_runner import Context, Subject
from fairlens_backend.compliance_report import compliance_report, report_file
from fairlens_backend.core.counts import CountTable
from fairlens_backend.errors import InvalidInput, NotFound
from fairlens_backend.schemas.reports import ReportQuery
from fairlens_backend.storage import tables
from fairlens_backend.storage.session import current_session, unit_of_work

pytestmark = pytest.mark.usefixtures("database")

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


@pytest.fixture
def falling() -> list[dict[str, Any]]:
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


def test_the_range_is_assessed_as_one(falling: list[dict[str, Any]]) -> None:
    """Women: 4·120 + 3·60 = 660 of 1,400; men 840 of 1,400: 0.7857 to four digits."""
    found = report()
    ratio = found["results"]["attributes"]["sex"]["disparate_impact_ratio"]
    assert ratio["value"] == pytest.approx(660 / 840)
    assert ratio["sample_sizes"] == {"F": 1400, "M": 1400}
    assert ratio["confidence_interval"]["lower"] < 660 / 840 < ratio["confidence_interval"]["upper"]
    assert (found["scope"]["decisions"], found["scope"]["audits_used"], found["scope"]["labelled"]) == (
        2800,
        7,
        2800,
    )
    assert found["results"]["reference_groups"]["sex"] == {"group": "M", "chosen": "declared"}
    assert "temporal_drift_index" not in found["results"]["metrics"]


def test_the_days_before_and_after_are_not_in_it(falling: list[dict[str, Any]]) -> None:
    """The second to the fourth day alone: parity."""
    found = report(start="2026-03-02", end="2026-03-04")
    assert found["results"]["attributes"]["sex"]["disparate_impact_ratio"]["value"] == 1.0
    assert found["scope"]["audits_used"] == 3 and found["audits"]["alerting"] == 0


def test_the_trend_is_of_the_summed_counts(falling: list[dict[str, Any]]) -> None:
    """A point a day: 1 four times, then 0.5."""
    series = next(one for one in report()["trend"] if one["attribute"] == "sex")
    assert (series["metric"], series["grain_hours"]) == ("disparate_impact_ratio", 24)
    assert [point["value"] for point in series["points"]] == pytest.approx([1, 1, 1, 1, 0.5, 0.5, 0.5])
    assert [point["confirmed"] for point in series["points"]][-1] is True
    assert series["cusum"]["status"] == "insufficient_data" and "20 needed" in series["cusum"]["reason"]


def test_a_run_of_alerts_is_one_incident(falling: list[dict[str, Any]]) -> None:
    """Three days alert; nothing clears them; the lowest ratio is 0.5."""
    (run,) = report()["incidents"]["runs"]
    assert (run["audits"], run["first"][:10], run["last"][:10]) == (3, "2026-03-06", "2026-03-08")
    assert run["cleared_at"] is None and run["lowest_ratio"] == pytest.approx(0.5)
    audit(7, decisions(60, 60))
    assert report()["incidents"]["runs"][0]["cleared_at"].startswith("2026-03-09")


def test_what_is_unknown_does_not_end_an_incident(falling: list[dict[str, Any]]) -> None:
    """A day without decisions clears nothing."""
    audit(7, CountTable.empty(["sex", "region"]))
    (run,) = report()["incidents"]["runs"]
    assert run["cleared_at"] is None
    assert report()["audits"]["by_severity"]["UNKNOWN"] == 1


def test_the_proofs_are_of_the_audits_that_were_summed(falling: list[dict[str, Any]]) -> None:
    """A line an audit; the latest and the three alerting ones are named, with hashes that were computed again."""
    evidence = report()["evidence"]
    lines = evidence["basis"]["lines"]
    assert [line.split()[0] for line in lines] == [one["audit_id"] for one in falling]
    digest = hashlib.sha256("".join(line + "\n" for line in lines).encode()).hexdigest()
    assert evidence["basis"]["digest"] == digest
    cited = {one["audit_id"]: one for one in evidence["cited"]}
    assert set(cited) == {one["audit_id"] for one in falling[4:]}
    assert all(one["record_intact"] and one["audit_intact"] for one in cited.values())
    assert cited[falling[6]["audit_id"]]["hash_value"] == falling[6]["evidence"]["hash"]


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
    import base64

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


def test_nothing_in_the_range_is_unknown_and_no_pass(falling: list[dict[str, Any]]) -> None:
    """A range before the first audit, and a model that was registered and never audited."""
    declared = {"columns": {"protected": ["sex"]}}
    model_registry.register_model(
        "silent", "v1", declarations=declared, created_by="t", now=START, tenant="acme"
    )
    for found in (report(start="2026-01-01", end="2026-01-31"), report("silent")):
        assert found["results"] is None and found["trend"] == [] and found["scope"]["decisions"] == 0
        assert found["evidence"]["basis"]["audits"] == 0
    text = text_of(report_file("acme", "silent", query("pdf"), NOW).content)
    assert "UNKNOWN. No audit of this model lies in the range" in text
    assert "PASS" not in text and not FORBIDDEN.search(text)


def test_too_few_decisions_are_unknown() -> None:
    """45 decisions without outcomes."""
    table = CountTable.from_arrays({"sex": ["F"] * 20 + ["M"] * 25}, [1] * 10 + [0] * 35)
    audit(0, table)
    assert report()["results"]["overall_severity"] == "UNKNOWN"
    text = text_of(report_file("acme", "loans", query("pdf"), NOW).content)
    assert "UNKNOWN. Over the whole range the data allow no judgement" in text
    assert "No outcomes were known" in text


def test_other_tenants_see_nothing_of_it(falling: list[dict[str, Any]]) -> None:
    """404, as if the model did not exist; and their own model of that name has its own report."""
    with pytest.raises(NotFound):
        report(tenant="other")
    audit(0, decisions(50, 50), tenant="other")
    found = report(tenant="other")
    assert found["scope"]["audits"] == 1 and found["scope"]["decisions"] == 400


@pytest.mark.parametrize(
    ("start", "end", "field"),
    [
        ("2026-03-02", "2026-03-01", "end_date"),
        ("2026-03-01", "2026-04-03", "end_date"),
        ("2026-05-01", "2026-05-02", "start_date"),
        ("2024-01-01", "2026-03-01", "start_date"),
    ],
)
def test_ranges_that_cannot_be(falling: list[dict[str, Any]], start: str, end: str, field: str) -> None:
    """The end before the start, days to come, more than 400 days."""
    with pytest.raises(InvalidInput) as refused:
        report(start=start, end=end)
    assert refused.value.details["field"] == field


def test_a_file_is_named_after_model_and_days(falling: list[dict[str, Any]]) -> None:
    """Also its media type."""
    file = report_file("acme", "loans", query("pdf"), NOW)
    assert file.name == "fairness-report_loans_2026-03-01_2026-03-31.pdf"
    assert file.media_type == "application/pdf" and file.content.startswith(b"%PDF-")
