"""Follows the audits of one model through a bundle: each after the one before, none left out, at the ends neither."""

from typing import Any, Final

import msgspec

from fairlens_backend.core.audit_notation import SHORT_VERSION
from fairlens_backend.verifier.bodies import AuditBody, ShortBody
from fairlens_backend.verifier.entries import AnyEntry, Entry, read_body
from fairlens_backend.verifier.lines import Header, Wrong, export_body
from fairlens_backend.verifier.stated_figures import FigureCheck


class _NamesModel(msgspec.Struct, frozen=True):
    model: Any = None


class Link(msgspec.Struct, frozen=True):
    """What of an audit shows its place among those of the model."""

    number: int
    previous: int | None
    index: int
    time: str


_AUDIT: Final = msgspec.json.Decoder(AuditBody)
_SHORT: Final = msgspec.json.Decoder(ShortBody)
_MODEL: Final = msgspec.json.Decoder(_NamesModel)
_EXPORT: Final = msgspec.json.Decoder(dict[str, Any])


class AuditChain:
    """The audits of the model that the header names, in the order in which they stand.

    Parameters
    ----------
    figures : takes each audit, to compute its figures anew
    """

    def __init__(self, header: Header, figures: FigureCheck) -> None:
        self.header = header
        self.figures = figures
        self.in_range = 0
        """audits of the range so far"""
        self.closed: int | None = None
        """index of the ledger's own entry of this export"""
        self.last: Link | None = None

    def audit(self, entry: AnyEntry) -> None:
        """One more audit, of whatever model.

        Raises
        ------
        Wrong : it does not follow the one before it, or states what its counts do not give
        """
        if isinstance(entry, Entry):
            if read_body(entry, _MODEL).model != self.header.model:
                return
            short = entry.version == SHORT_VERSION
            body: AuditBody | ShortBody = read_body(entry, _SHORT) if short else read_body(entry, _AUDIT)
        else:
            body = entry.body
        if body.model != self.header.model:
            return
        link = Link(body.model_audit_number, body.previous_audit_index, entry.index, entry.time)
        self.check(link)
        self.passed(link, int(self.in_time(entry.time)))
        self.figures.add(entry.index, body)

    def in_time(self, time: str) -> bool:
        """Whether an audit of this time is of the range."""
        return self.header.since <= time < self.header.until

    def passed(self, last: Link, in_range: int) -> None:
        """Audits that follow each other, up to this one, so many of them in the range."""
        self.last = last
        self.in_range += in_range

    def check(self, link: Link) -> None:
        """Whether an audit is the next one.

        Raises
        ------
        Wrong : it does not follow the last one, or that one is after the range already
        """
        number, previous = link.number, link.previous
        if self.last is None:
            if (number == 1) != (previous is None):
                raise Wrong(
                    f"Entry {link.index} says that it is audit {number} of the model and follows {previous}."
                )
            # Of audits before the range the last one is shown, so that none at its beginning can be left out.
            if number > 1 and link.time >= self.header.since:
                raise Wrong(
                    f"An audit is left out: entry {link.index} is audit {number} of the model, and {number - 1} is not shown."
                )
        elif (number, previous) != (self.last.number + 1, self.last.index):
            raise Wrong(
                f"An audit is left out: entry {link.index} is audit {number} of the model and follows entry {previous};"
                f" the one shown before it is audit {self.last.number}, entry {self.last.index}."
            )
        elif self.last.time >= self.header.until:
            raise Wrong(
                f"Entry {link.index} is an audit after the range, as entry {self.last.index} is: only the first one is shown."
            )

    def export(self, entry: Entry) -> None:
        """The ledger's own entry of an export: of this one it must say what the bundle shows.

        Raises
        ------
        Wrong : it says something else
        """
        header = self.header
        said = read_body(entry, _EXPORT)
        if said.get("model") != header.model:
            return
        last = self.last
        # Shown up to one that is after the range, or up to the model's last one: none at its end can be left out.
        index = None if last is None else last.index
        if last is not None and last.time >= header.until:
            index = said.get("last_audit_index")
        mine = export_body(header, index, self.in_range, said.get("by_user_id"))
        if {name: said.get(name) for name in ("since", "until")} != {
            "since": header.since,
            "until": header.until,
        }:
            return  # another export of the same model
        for name, value in mine.items():
            if said.get(name) != value:
                raise Wrong(
                    f"The ledger's own entry of this export ({entry.index}) says {said.get(name)!r} for {name},"
                    f" the bundle shows {value!r}."
                )
        self.closed = entry.index
