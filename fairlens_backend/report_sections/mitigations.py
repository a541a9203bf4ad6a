"""Section 6: what was done about findings, as far as the ledger knows."""

from collections.abc import Mapping
from typing import Any, Final

from fairlens_backend.report_sections import _words as w
from fairlens_backend.report_sections._blocks import Block, Column, Para, Table

TITLE: Final = "Mitigations"
_SHOWN: Final = 40
_WHAT: Final = {
    "MITIGATION_TRIGGERED": "mitigation started",
    "MITIGATION_COMPLETED": "mitigation completed",
    "MODEL_PROMOTED": "version promoted",
    "MODEL_REGISTERED": "version registered",
}


def build(report: Mapping[str, Any]) -> list[Block]:
    """The section's blocks."""
    found = report["mitigations"]
    events, called = found["events"], found["called_for"]
    by_type = found["events_by_type"]
    mitigated = sum(n for name, n in by_type.items() if name.startswith("MITIGATION"))
    blocks: list[Block] = []
    if mitigated:
        blocks.append(
            Para(f"The ledger has {w.plural(mitigated, 'event')} of mitigations of this model in the range.")
        )
    else:
        blocks.append(
            Para(
                "The ledger has no mitigation of this model in the range. That means that FairLens neither started nor recorded one; what was done"
                " about the model elsewhere, FairLens does not know."
            )
        )
    if any(called.values()):
        parts = [f"{w.plural(n, 'audit')} {severity}" for severity, n in called.items() if n]
        blocks.append(
            Para(
                f"The range has {w.listed(parts)}. By the method of FairLens a confirmed breach of such an audit calls for a mitigation: at once where it is"
                " CRITICAL, after an hour where it is HIGH, and only where the model's owner allows it."
            )
        )
    if events:
        rows = [
            [
                w.short_moment(one["at"]),
                _WHAT.get(one["type"], one["type"]),
                _told(one["body"]),
                str(one["leaf_index"]),
            ]
            for one in events[-_SHOWN:]
        ]
        notes = ["Source: the ledger, at the index in the last column."]
        total = found["events_total"]
        if total > len(rows):
            counted = w.listed([f"{n:,} × {_WHAT[name]}" for name, n in by_type.items() if n])
            notes.append(
                f"The newest {len(rows)} of {total:,} are shown; the JSON form has {len(events)}, the ledger all. In all: {counted}."
            )
        blocks.append(
            Table(
                "Mitigations and versions in the ledger",
                (
                    Column("Time (UTC)", 1.3),
                    Column("Event", 1.4),
                    Column("What it says", 3),
                    Column("Ledger index", 0.9, "number"),
                ),
                rows,
                notes,
            )
        )
    else:
        blocks.append(Para("No version of the model was registered or promoted in the range."))
    return blocks


def _told(body: Mapping[str, Any]) -> str:
    names = ("version", "model_version", "algorithm", "mitigation_id", "artefact_sha256")
    return (
        "; ".join(f"{name.replace('_', ' ')} {body[name]}" for name in names if body.get(name)) or w.NOTHING
    )
