"""The contents and the number of pages that the footers print."""

import io
import re

from pypdf import PdfReader

from fairlens_backend.report_rendering.pdf import pdf_document
from fairlens_backend.report_sections._blocks import Para, Section
from tests.report_kit import TITLES

DOCUMENT = {
    "title": "Fairness compliance report: loans",
    "start_date": "2026-03-01",
    "end_date": "2026-03-31",
    "document_id": "FL-0000000000000000",
    "made_by": "FairLens",
}


def test_the_days_stand_on_every_page_whatever_the_name() -> None:
    """A model's name may have 100 letters, of which the footer has those that fit."""
    long = {**DOCUMENT, "title": "Fairness compliance report: " + "x" * 100}
    sections = [Section(1, TITLES[0], [Para("Text.")])]
    (page,) = PdfReader(io.BytesIO(pdf_document(long, sections, "0" * 64))).pages
    assert "xxx · 2026-03-01 to 2026-03-31" in page.extract_text()


def test_every_footer_has_the_number_of_pages_there_are() -> None:
    """Whatever the length: also where the contents' own lines push the last paragraphs onto a page more, and no heading."""
    lengths = set()
    for n in range(50, 58):
        sections = [
            Section(number, title, [Para("Text.")] * (n if number == 8 else 0))
            for number, title in enumerate(TITLES, 1)
        ]
        pages = PdfReader(io.BytesIO(pdf_document(DOCUMENT, sections, "0" * 64))).pages
        for number, page in enumerate(pages, 1):
            (printed,) = re.findall(r"Page (\d+ of \d+)", page.extract_text())
            assert printed == f"{number} of {len(pages)}", n
        lengths.add(len(pages))
    assert len(lengths) > 1
