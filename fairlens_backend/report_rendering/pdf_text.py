"""The fonts of the PDF, embedded so that it looks the same everywhere, and texts that they can write."""

from functools import cache
from pathlib import Path
from typing import Final

import reportlab
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont

REGULAR: Final = "Vera"
BOLD: Final = "VeraBd"
# What the font lacks and has a plain way to be written.
_SPELLED: Final = {"ŷ": "y^", "↓": "(down)", "→": "to", "\u202f": " ", "\u2009": " "}


@cache
def register_fonts() -> frozenset[int]:
    """Make Bitstream Vera, which reportlab brings along, known to it; the code points that it can write."""
    folder = Path(str(reportlab.__file__)).parent / "fonts"
    known = []
    for name in (REGULAR, BOLD):
        font = TTFont(name, str(folder / f"{name}.ttf"))
        pdfmetrics.registerFont(font)
        known.append(frozenset(font.face.charToGlyph))
    pdfmetrics.registerFontFamily(REGULAR, normal=REGULAR, bold=BOLD, italic=REGULAR, boldItalic=BOLD)
    return known[0] & known[1]


def printable(text: str) -> str:
    """The text with what the font lacks by its code point, as [U+0938]: two names never become one by that.

    >>> printable("≤ 5 %"), printable("स")
    ('≤ 5 %', '[U+0938]')
    """
    known = register_fonts()
    if all(ord(letter) in known for letter in text):
        return text
    return "".join(
        letter if ord(letter) in known else _SPELLED.get(letter, f"[U+{ord(letter):04X}]") for letter in text
    )


def spells_out(text: str) -> bool:
    """Whether `printable` has to name a code point."""
    known = register_fonts()
    return any(ord(letter) not in known and letter not in _SPELLED for letter in text)
