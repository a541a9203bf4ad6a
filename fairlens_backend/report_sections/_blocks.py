"""What a section is made of: paragraphs, lists, tables and plots, without a word about how they are set."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from fairlens_backend.report_plots._picture import Picture

Tone = Literal["plain", "bad", "unknown", "good"]


@dataclass(frozen=True)
class Heading:
    """A heading within a section."""

    text: str


@dataclass(frozen=True)
class Para:
    """A paragraph; `lead` stands before it in bold."""

    text: str
    lead: str = ""


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: Sequence[str]


@dataclass(frozen=True)
class Callout:
    """A statement that must not be overlooked; its first word says its tone, not its colour alone."""

    lead: str
    text: str
    tone: Tone = "plain"


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, its share of the width, whether it holds numbers, or hashes to be set small."""

    title: str
    weight: float = 1.0
    kind: Literal["text", "number", "code"] = "text"


@dataclass(frozen=True)
class Table:
    """A table. The first column names the row; a line break in a cell begins a second line.

    Parameters
    ----------
    notes : below it: the source, the method of the intervals, what was left out
    strong : numbers of rows that are set in bold
    """

    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    strong: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Plot:
    """A picture with its caption, which names source and method."""

    picture: Picture
    caption: str


Block = Heading | Para | Bullets | Callout | Table | Plot


@dataclass(frozen=True)
class Section:
    """One of the eight."""

    number: int
    title: str
    blocks: Sequence[Block] = field(default_factory=tuple)
