"""How the PDF looks: sizes, colours, paragraphs."""

from typing import Any, Final

from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm

from fairlens_backend.report_rendering.pdf_text import BOLD, REGULAR

MARGIN: Final = 18 * mm
WIDTH: Final = A4[0] - 2 * MARGIN
INK: Final = HexColor("#1a1a1a")
SOFT: Final = HexColor("#4a4a4a")
RULE: Final = HexColor("#c8c8c8")
TONES: Final = {"bad": ("#b34700", "#fdf1e9"), "good": ("#0072b2", "#eef6fb"), "unknown": ("#6b6b6b", "#f0f0f0"), "plain": ("#6b6b6b", "#ffffff")}  # fmt: skip


def _style(name: str, size: float, leading: float, **more: Any) -> ParagraphStyle:
    given: dict[str, Any] = {
        "fontName": REGULAR,
        "textColor": INK,
        "allowWidows": 0,
        "allowOrphans": 0,
        **more,
    }
    return ParagraphStyle(name, fontSize=size, leading=leading, **given)


BODY: Final = _style("body", 8.4, 12.2, spaceAfter=5)
TITLE: Final = _style("title", 18, 22, fontName=BOLD, spaceAfter=4)
SUBTITLE: Final = _style("subtitle", 8.4, 12, textColor=SOFT, spaceAfter=10)
H1: Final = _style("h1", 13, 16, fontName=BOLD, spaceBefore=6, spaceAfter=7)
H2: Final = _style("h2", 9.8, 13, fontName=BOLD, spaceBefore=9, spaceAfter=4)
CAPTION: Final = _style("caption", 7.6, 10, fontName=BOLD, spaceBefore=5, spaceAfter=3)
NOTE: Final = _style("note", 6.8, 9, textColor=SOFT, spaceAfter=1.5)
CELL: Final = _style("cell", 6.9, 8.7)
CELL_BOLD: Final = _style("cell-bold", 6.9, 8.7, fontName=BOLD)
NUMBER: Final = _style("number", 6.9, 8.7, alignment=TA_RIGHT)
NUMBER_BOLD: Final = _style("number-bold", 6.7, 8.7, fontName=BOLD, alignment=TA_RIGHT)
CODE: Final = _style("code", 5.7, 7.6)
TOC: Final = _style("toc", 8.8, 15)
CALLOUT: Final = _style("callout", 8.8, 12.6)
