"""A report as one HTML file: no script, nothing from outside, its style within it and named by its hash in the policy."""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from importlib.resources import files
from typing import Any

from fairlens_backend.report_rendering.svg import style_rules, svg
from fairlens_backend.report_sections import _words as w
from fairlens_backend.report_sections._blocks import (
    Block,
    Bullets,
    Callout,
    Heading,
    Para,
    Plot,
    Section,
    Table,
)


def html_document(document: Mapping[str, Any], sections: Sequence[Section], sha256: str) -> bytes:
    """The whole file.

    Parameters
    ----------
    document : the report's `document`
    sha256 : of the report's data, which stands in the footer
    """
    style = _style(document["document_id"], sha256)
    title = escape(document["title"])
    contents = "".join(
        f'<li><a href="#section-{one.number}">{escape(one.title)}</a></li>' for one in sections
    )
    body = "".join(_Page(sections).parts())
    text = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{escape(_policy(style))}">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f'<meta name="author" content="{escape(document["made_by"])}"><meta name="generator" content="{escape(document["made_by"])}">'
        f"<title>{title}</title><style>{style}</style></head><body>"
        '<a class="skip" href="#content">To the report</a>'
        f'<header><p class="kind">{escape(document["made_by"])} · document {escape(document["document_id"])}</p><h1>{title}</h1>'
        f"<p>{document['start_date']} to {document['end_date']}, days in UTC, both included.</p></header>"
        f'<nav aria-label="Contents"><h2>Contents</h2><ol>{contents}</ol></nav>'
        f'<main id="content">{body}</main>'
        f"<footer><p>Document {escape(document['document_id'])}. SHA-256 of the report’s data: <code>{sha256}</code></p></footer>"
        "</body></html>\n"
    )
    return text.encode()


def policy_of(content: bytes) -> str:
    """The Content-Security-Policy under which a file of `html_document` is shown: its own style by hash, and nothing else."""
    found = re.search(rb"<style>(.*?)</style>", content, re.DOTALL)
    style = found.group(1).decode() if found else ""
    return f"{_policy(style)}; frame-ancestors 'none'"


def _policy(style: str) -> str:
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return f"default-src 'self'; script-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


def _style(document_id: str, sha256: str) -> str:
    rules = files("fairlens_backend.report_rendering").joinpath("report.css").read_text("utf-8")
    # Both are letters, digits and dashes, so they cannot end the string or the element.
    footer = f'@page{{@bottom-left{{content:"{document_id} · SHA-256 {sha256}"}}}}'
    return re.sub(r"\s*\n\s*", "\n", rules) + footer + style_rules()


class _Page:
    """The blocks of all sections as HTML, with a number for each plot."""

    def __init__(self, sections: Sequence[Section]) -> None:
        self.sections = sections
        self.plots = 0

    def parts(self) -> Iterator[str]:
        for section in self.sections:
            name = f"section-{section.number}"
            yield f'<section aria-labelledby="{name}"><h2 id="{name}">{section.number}. {escape(section.title)}</h2>'
            for block in section.blocks:
                yield self._block(block)
            yield "</section>"

    def _block(self, block: Block) -> str:
        if isinstance(block, Heading):
            return f"<h3>{escape(block.text)}</h3>"
        if isinstance(block, Para):
            lead = f"<strong>{escape(block.lead)}</strong> " if block.lead else ""
            return f"<p>{lead}{escape(block.text)}</p>"
        if isinstance(block, Bullets):
            return f"<ul>{''.join(f'<li>{escape(item)}</li>' for item in block.items)}</ul>"
        if isinstance(block, Callout):
            return f'<p class="callout {block.tone}"><strong>{escape(block.lead)}</strong> {escape(block.text)}</p>'
        if isinstance(block, Plot):
            return self._plot(block)
        return _table(block)

    def _plot(self, block: Plot) -> str:
        self.plots += 1
        name = escape(block.picture.title)
        return (
            f'<figure><div class="scroll" tabindex="0" role="region" aria-label="{name}">{svg(block.picture, self.plots)}</div>'
            f"<figcaption>{escape(block.caption)}</figcaption></figure>"
        )


def _table(block: Table) -> str:
    kinds = [column.kind for column in block.columns]
    head = ""
    if any(column.title for column in block.columns):
        head = "".join(
            f'<th scope="col"{_class(kind)}>{escape(column.title)}</th>'
            for column, kind in zip(block.columns, kinds, strict=True)
        )
        head = f"<thead><tr>{head}</tr></thead>"
    rows = "".join(
        f"<tr{' class=strong' if place in block.strong else ''}>{''.join(_cells(row, kinds))}</tr>"
        for place, row in enumerate(block.rows)
    )
    notes = f'<p class="note">{escape(" ".join(block.notes))}</p>' if block.notes else ""
    name = escape(block.caption)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{name}"><table{"" if head else " class=pairs"}><caption>{name}</caption>'
        f"{head}<tbody>{rows}</tbody></table></div>{notes}"
    )


def _cells(row: Sequence[str], kinds: Sequence[str]) -> Iterator[str]:
    for place, (cell, kind) in enumerate(zip(row, kinds, strict=True)):
        first, *more = cell.split("\n")
        text = escape(first) + "".join(f"<br><small>{escape(line)}</small>" for line in more)
        spoken = '<span class="hidden">no value</span>' if cell == w.NOTHING else ""
        if place == 0:
            yield f'<th scope="row"{_class(kind)}>{text}</th>'
        else:
            yield f"<td{_class(kind)}>{text}{spoken}</td>"


def _class(kind: str) -> str:
    return "" if kind == "text" else f' class="{kind}"'
