"""A report as PDF, A4: contents, bookmarks, and on every page its number, the document's id and the hash of the data."""

import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any
from xml.sax.saxutils import escape

from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import (
    BaseDocTemplate,
    CondPageBreak,
    Frame,
    KeepTogether,
    ListFlowable,
    ListItem,
    PageTemplate,
    Paragraph,
    Spacer,
)
from reportlab.platypus import Table as PdfTable

from fairlens_backend.report_rendering.pdf_contents import PAGE, Contents
from fairlens_backend.report_rendering.pdf_plots import drawing
from fairlens_backend.report_rendering.pdf_styles import (
    BODY,
    CALLOUT,
    CAPTION,
    CELL,
    CELL_BOLD,
    CODE,
    H1,
    H2,
    INK,
    MARGIN,
    NOTE,
    NUMBER,
    NUMBER_BOLD,
    RULE,
    SOFT,
    SUBTITLE,
    TITLE,
    TOC,
    TONES,
    WIDTH,
)
from fairlens_backend.report_rendering.pdf_text import REGULAR, printable, register_fonts, spells_out
from fairlens_backend.report_sections._blocks import (
    Block,
    Bullets,
    Callout,
    Column,
    Heading,
    Para,
    Plot,
    Section,
    Table,
)


def pdf_document(document: Mapping[str, Any], sections: Sequence[Section], sha256: str) -> bytes:
    """The whole file; nothing in it depends on the time or the machine.

    Parameters
    ----------
    document : the report's `document`
    sha256 : of the report's data
    """
    register_fonts()
    file = io.BytesIO()
    contents = Contents(levelStyles=[TOC], dotsMinLevel=0, rightColumnWidth=30)
    made = _Document(file, document, sha256, contents)
    made.multiBuild(list(_story(document, sections, sha256, contents)))
    return file.getvalue()


class _Document(BaseDocTemplate):  # type: ignore[misc]
    """Numbers its pages, and tells the contents and the outline where each section begins."""

    def __init__(
        self, file: io.BytesIO, document: Mapping[str, Any], sha256: str, contents: Contents
    ) -> None:
        super().__init__(
            file,
            pagesize=A4,
            leftMargin=MARGIN,
            rightMargin=MARGIN,
            topMargin=17 * mm,
            bottomMargin=21 * mm,
            title=printable(document["title"]),
            author=document["made_by"],
            subject=f"{document['start_date']} to {document['end_date']}, document {document['document_id']}",
            creator=document["made_by"],
            keywords=[f"sha256:{sha256}"],
            invariant=1,
            lang="en",
            displayDocTitle=1,
            pageCompression=1,
        )
        self.told = document
        self.sha256 = sha256
        self.contents = contents
        frame = Frame(
            MARGIN, self.bottomMargin, WIDTH, A4[1] - self.topMargin - self.bottomMargin, 0, 0, 0, 0
        )
        self.addPageTemplates(PageTemplate("page", [frame], onPage=self._footer))

    def afterFlowable(self, flowable: Any) -> None:  # noqa: N802 (reportlab's name)
        """Enter a heading into contents and outline."""
        number = getattr(flowable, "section", None)
        if number is None:
            return
        level, key, text = number
        self.canv.bookmarkPage(key)
        self.canv.addOutlineEntry(text, key, level=level, closed=level == 0)
        if level == 0:
            self.notify("TOCEntry", (0, escape(text), self.page, key))

    def afterPage(self) -> None:  # noqa: N802
        """Count the page: the next pass prints how many there are."""
        self.notify(PAGE, self.page)

    def _footer(self, canvas: Any, doc: Any) -> None:
        canvas.saveState()
        canvas.setStrokeColor(RULE)
        canvas.setLineWidth(0.5)
        canvas.line(MARGIN, 15 * mm, A4[0] - MARGIN, 15 * mm)
        canvas.setFillColor(SOFT)
        canvas.setFont(REGULAR, 6.3)
        canvas.drawString(
            MARGIN,
            11.5 * mm,
            f"{printable(self.told['title'])[:84]} · {self.told['start_date']} to {self.told['end_date']}",
        )
        canvas.drawString(MARGIN, 8.3 * mm, f"{self.told['document_id']} · SHA-256 of the data {self.sha256}")
        canvas.drawRightString(A4[0] - MARGIN, 11.5 * mm, f"Page {doc.page} of {self.contents.pages}")
        canvas.restoreState()


def _story(
    document: Mapping[str, Any], sections: Sequence[Section], sha256: str, contents: Contents
) -> Iterator[Any]:
    yield Paragraph(_text(document["title"]), TITLE)
    yield Paragraph(
        _text(
            f"{document['start_date']} to {document['end_date']}, days in UTC, both included · document {document['document_id']} · {document['made_by']}"
        ),
        SUBTITLE,
    )
    yield Paragraph("Contents", H2)
    yield contents
    yield Paragraph(
        f"SHA-256 of the report’s data, the member “report” of its JSON form (RFC 8785): {sha256}", NOTE
    )
    if spells_out(repr(sections)):
        yield Paragraph(
            "Letters that the font of this PDF lacks are written by their code points, as [U+0938]; HTML and JSON have them as they are.",
            NOTE,
        )
    for section in sections:
        yield Spacer(1, 8)
        yield CondPageBreak(70 * mm)
        yield _heading(f"{section.number}. {section.title}", H1, 0, f"section-{section.number}")
        yield from _flow(section)


def _flow(section: Section) -> Iterator[Any]:
    for place, block in enumerate(section.blocks):
        following = section.blocks[place + 1] if place + 1 < len(section.blocks) else None
        if isinstance(block, Heading):
            yield CondPageBreak(_room(following) + 12 * mm)
        elif isinstance(block, Table):
            yield CondPageBreak(_room(block))
        yield from _block(block, f"section-{section.number}-{place}")


def _room(block: Block | None) -> float:
    """What has to fit on the page before a block is begun on it: a plot whole, of a table its head and some rows."""
    if isinstance(block, Plot):
        return block.picture.height * min(1.0, WIDTH / block.picture.width) + 12 * mm
    if isinstance(block, Table):
        return (14 + 10 * min(3, len(block.rows))) * mm
    return 20 * mm


def _heading(text: str, style: ParagraphStyle, level: int, key: str) -> Any:
    made = Paragraph(_text(text), style)
    made.section = (level, key, printable(text))
    return made


def _text(text: str) -> str:
    return escape(printable(text.replace("§ ", "§\u00a0")))


def _block(block: Block, key: str) -> list[Any]:
    if isinstance(block, Heading):
        return [_heading(block.text, H2, 1, key)]
    if isinstance(block, Para):
        lead = f"<b>{_text(block.lead)}</b> " if block.lead else ""
        return [Paragraph(lead + _text(block.text), BODY)]
    if isinstance(block, Bullets):
        items = [ListItem(Paragraph(_text(item), BODY), leftIndent=10) for item in block.items]
        return [
            ListFlowable(
                items, bulletType="bullet", start="•", bulletFontName=REGULAR, bulletFontSize=7, leftIndent=10
            )
        ]
    if isinstance(block, Callout):
        return [_callout(block)]
    if isinstance(block, Plot):
        picture = drawing(block.picture, min(WIDTH, block.picture.width))
        return [KeepTogether([Spacer(1, 3), picture, Paragraph(_text(block.caption), NOTE), Spacer(1, 4)])]
    return _table(block)


def _callout(block: Callout) -> Any:
    edge, back = TONES[block.tone]
    text = Paragraph(f"<b>{_text(block.lead)}</b> {_text(block.text)}", CALLOUT)
    look = [
        ("BACKGROUND", (0, 0), (-1, -1), HexColor(back)),
        ("LINEBEFORE", (0, 0), (0, -1), 4, HexColor(edge)),
        ("BOX", (0, 0), (-1, -1), 0.5, HexColor(edge)),
        ("LEFTPADDING", (0, 0), (-1, -1), 9),
        ("TOPPADDING", (0, 0), (-1, -1), 5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 7),
    ]
    return PdfTable([[text]], colWidths=[WIDTH], style=look, spaceBefore=3, spaceAfter=7)


def _table(block: Table) -> list[Any]:
    total = sum(column.weight for column in block.columns)
    widths = [WIDTH * column.weight / total for column in block.columns]
    titled = any(column.title for column in block.columns)
    rows: list[list[Any]] = []
    if titled:
        rows.append([_head(one) for one in block.columns])
    for place, row in enumerate(block.rows):
        strong = place in block.strong
        pairs = enumerate(zip(row, block.columns, strict=True))
        rows.append(
            [
                _cell(text, column.kind, strong=strong or (not titled and not at))
                for at, (text, column) in pairs
            ]
        )
    look = _look(block, titled, len(rows))
    if block.notes:
        # A row of the table, so that no page begins with the notes of the one before.
        note = Paragraph(" ".join(_text(one) for one in block.notes), NOTE)
        rows.append([note, *[""] * (len(widths) - 1)])
        look += [
            ("SPAN", (0, -1), (-1, -1)),
            ("NOSPLIT", (0, -2), (-1, -1)),
            ("RIGHTPADDING", (0, -1), (-1, -1), 0),
        ]
    made = PdfTable(rows, colWidths=widths, repeatRows=1 if titled else 0, style=look)
    return [Paragraph(_text(block.caption), CAPTION), made, Spacer(1, 6)]


def _look(block: Table, titled: bool, n_rows: int) -> list[Any]:
    """The rules and paddings; numbers stand further from a text on their right."""
    look: list[Any] = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("RIGHTPADDING", (0, 0), (-1, -1), 6),
        ("TOPPADDING", (0, 0), (-1, -1), 2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 3),
        ("LINEBELOW", (0, 0), (-1, n_rows - 1), 0.4, RULE),
    ]
    kinds = [column.kind for column in block.columns]
    for place, (kind, following) in enumerate(pairwise([*kinds, "end"])):
        if following == "end":
            look.append(("RIGHTPADDING", (place, 0), (place, -1), 0))
        elif kind == "number" and following != "number":
            look.append(("RIGHTPADDING", (place, 0), (place, -1), 10))
    if titled:
        look += [("LINEBELOW", (0, 0), (-1, 0), 0.9, INK), ("VALIGN", (0, 0), (-1, 0), "BOTTOM")]
    return look


def _head(column: Column) -> Any:
    return Paragraph(_text(column.title), NUMBER_BOLD if column.kind == "number" else CELL_BOLD)


def _cell(text: str, kind: str, *, strong: bool) -> Any:
    if kind == "number":
        text = text.replace(" ", "\u00a0")  # a number, its unit and its interval stay on one line
    first, *more = (_text(line) for line in text.split("\n"))
    if kind == "code":
        return Paragraph("<br/>".join([first, *more]), CODE)
    lines = [first, *(f'<font name="{REGULAR}" size="6.1" color="#4a4a4a">{line}</font>' for line in more)]
    style = {("text", False): CELL, ("text", True): CELL_BOLD, ("number", False): NUMBER, ("number", True): NUMBER_BOLD}[kind, strong]  # fmt: skip
    return Paragraph("<br/>".join(lines), style)
