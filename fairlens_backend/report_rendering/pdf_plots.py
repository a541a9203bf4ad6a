"""A picture as a drawing of reportlab's own graphics."""

from typing import Any

from reportlab.graphics import shapes
from reportlab.lib.colors import HexColor
from reportlab.pdfbase.pdfmetrics import stringWidth

from fairlens_backend.report_plots._picture import (
    STYLES,
    Box,
    Label,
    Line,
    Mark,
    Picture,
    Shape,
    fitted,
    outline,
)
from fairlens_backend.report_rendering.pdf_text import BOLD, REGULAR, printable


def drawing(picture: Picture, width: float) -> Any:
    """The picture, `width` points wide."""
    scale = width / picture.width
    made = shapes.Drawing(width, picture.height * scale)
    group = shapes.Group()
    for shape in picture.shapes:
        for one in _shape(shape, picture.height):
            group.add(one)
    group.scale(scale, scale)
    made.add(group)
    return made


def _shape(shape: Shape, height: float) -> list[Any]:
    look = _look(shape.style)
    if isinstance(shape, Line):
        points = [value for x, y in shape.points for value in (x, height - y)]
        return [shapes.PolyLine(points, **{k: v for k, v in look.items() if k != "fillColor"})]
    if isinstance(shape, Box):
        return [shapes.Rect(shape.x, height - shape.y - shape.height, shape.width, shape.height, **look)]
    if isinstance(shape, Label):
        style = STYLES[shape.style]
        font = BOLD if style.bold else REGULAR
        size = style.size * 0.94  # the font of the PDF is wider than the usual ones of screens
        text = printable(shape.text)
        if shape.anchor == "end" and (wide := stringWidth(text, font, size)) > shape.x:
            text = fitted(text, 0.58 * size * len(text) * shape.x / wide, size)
        return [
            shapes.String(
                shape.x,
                height - shape.y,
                text,
                fontName=font,
                fontSize=size,
                fillColor=HexColor(style.fill),
                textAnchor=shape.anchor,
            )
        ]
    return _mark(shape, height, look)


def _mark(mark: Mark, height: float, look: dict[str, Any]) -> list[Any]:
    if mark.shape == "circle":
        return [shapes.Circle(mark.x, height - mark.y, mark.radius, **look)]
    corners = [value for x, y in outline(mark) for value in (x, height - y)]
    if mark.shape == "cross":
        stroke = {k: v for k, v in look.items() if k != "fillColor"}
        return [shapes.PolyLine(corners[:4], **stroke), shapes.PolyLine(corners[4:], **stroke)]
    return [shapes.Polygon(corners, **look)]


def _look(name: str) -> dict[str, Any]:
    style = STYLES[name]
    return {
        "strokeColor": HexColor(style.stroke) if style.stroke else None,
        "fillColor": HexColor(style.fill) if style.fill else None,
        "strokeWidth": style.width if style.stroke else 0,
        "strokeDashArray": list(style.dash) or None,
    }
