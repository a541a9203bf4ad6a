"""A picture as inline SVG: shapes with classes, whose looks are in the page's style sheet."""

from html import escape

from fairlens_backend.report_plots._picture import (
    STYLES,
    Box,
    Label,
    Line,
    Mark,
    Picture,
    Shape,
    outline,
)


def svg(picture: Picture, number: int) -> str:
    """The element, with a title and a description for those who do not see it.

    Parameters
    ----------
    number : of the picture in its page, so that its ids are its own
    """
    name = f"plot-{number}"
    return (
        f'<svg role="img" viewBox="0 0 {_n(picture.width)} {_n(picture.height)}" aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(picture.title)}</title><desc id="{name}-desc">{escape(picture.description)}</desc>'
        f'<g aria-hidden="true">{"".join(_shape(shape) for shape in picture.shapes)}</g></svg>'
    )


def style_rules() -> str:
    """The rules for the classes that `svg` uses."""
    rules = []
    for name, style in STYLES.items():
        dash = f";stroke-dasharray:{' '.join(map(_n, style.dash))}" if style.dash else ""
        stroke = (
            f"stroke:{style.stroke};stroke-width:{_n(style.width)}{dash}" if style.stroke else "stroke:none"
        )
        text = f";font-size:{_n(style.size)}px{';font-weight:700' if style.bold else ''}"
        rules.append(f"svg .s-{name}{{fill:{style.fill or 'none'};{stroke}{text}}}")
    return "".join(rules)


def _shape(shape: Shape) -> str:
    name = f'class="s-{shape.style}"'
    if isinstance(shape, Line):
        return f'<polyline {name} points="{_points(shape.points)}"/>'
    if isinstance(shape, Box):
        return f'<rect {name} x="{_n(shape.x)}" y="{_n(shape.y)}" width="{_n(shape.width)}" height="{_n(shape.height)}"/>'
    if isinstance(shape, Label):
        anchor = "" if shape.anchor == "start" else f' text-anchor="{shape.anchor}"'
        return f'<text {name} x="{_n(shape.x)}" y="{_n(shape.y)}"{anchor}>{escape(shape.text)}</text>'
    return _mark(shape, name)


def _mark(mark: Mark, name: str) -> str:
    if mark.shape == "circle":
        return f'<circle {name} cx="{_n(mark.x)}" cy="{_n(mark.y)}" r="{_n(mark.radius)}"/>'
    corners = outline(mark)
    if mark.shape == "cross":
        return "".join(f'<polyline {name} points="{_points(ends)}"/>' for ends in (corners[:2], corners[2:]))
    return f'<polygon {name} points="{_points(corners)}"/>'


def _points(points: tuple[tuple[float, float], ...]) -> str:
    return " ".join(f"{_n(x)},{_n(y)}" for x, y in points)


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
