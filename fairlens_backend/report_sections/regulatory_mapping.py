"""Section 8: rule by rule what is shown and what is not, the tables that rules ask for, and the proof of every figure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fairlens_backend.report_sections import _impact_tables as impact
from fairlens_backend.report_sections import _words as w
from fairlens_backend.report_sections._blocks import Block, Bullets, Callout, Column, Heading, Para, Table
from fairlens_backend.report_sections._law import EEOC, INSTRUMENTS, NYC, Provision, facts

TITLE: Final = "Regulatory mapping and proofs"


def build(report: Mapping[str, Any]) -> list[Block]:
    """The section's blocks."""
    found = impact.found_tables(report["results"])
    nyc = "The tables below." if found else impact.missing(found)
    known = facts(
        report,
        impact.four_fifths_text(found),
        " ".join([nyc, impact.missing(found)]).strip() if found else nyc,
    )
    blocks: list[Block] = [
        Para(
            "For each rule: what it asks for, in short; what FairLens shows of it here; and what it cannot show. The texts are paraphrased, their application to this model is"
            " not examined, and none of this is legal advice."
        )
    ]
    for instrument in INSTRUMENTS:
        blocks += [Heading(instrument.title), Para(instrument.about.format(**known))]
        blocks += [_provision(one, known, empty=report["results"] is None) for one in instrument.provisions]
        if instrument is EEOC:
            blocks += impact.four_fifths_table(found)
        if instrument is NYC:
            blocks += impact.local_law_tables(found)
    return [*blocks, *_proofs(report)]


def _provision(one: Provision, known: Mapping[str, str], *, empty: bool) -> Table:
    shown = "Nothing for this range, since no audit lies in it." if empty else one.shows.format(**known)
    rows = [
        ["It asks for", one.asks],
        ["FairLens shows", shown],
        ["It cannot show", one.cannot],
    ]
    return Table(one.reference, (Column("", 1), Column("", 5.2)), rows)


def _proofs(report: Mapping[str, Any]) -> Iterator[Block]:
    evidence = report["evidence"]
    basis, cited = evidence["basis"], evidence["cited"]
    yield Heading("Proof of every figure")
    if not basis["audits"]:
        yield Para("There are no figures in this report, and so no proofs.")
        return
    damaged = [one["label"] for one in cited if not (one["record_intact"] and one["audit_intact"])]
    if damaged:
        yield Callout(
            "EVIDENCE DOES NOT MATCH.",
            f"What is stored of {w.listed(damaged)} does not have the hash that its record holds. Do not rely on this report before that is explained.",
            "bad",
        )
    yield Para(
        f"R stands for the sum of the count tables of {w.plural(basis['audits'], 'audit')}, records {basis['first_seq']} to {basis['last_seq']} of this server's chain (other"
        " records may lie between). SHA-256 over one line for each of them, in the order of their records, of audit id, record number, hash of the record and digest of result and"
        f" counts, separated by blanks and ended by a newline, is {basis['digest']}. The lines are in the JSON form of this report."
    )
    yield from _ledger(evidence)
    yield _cited_table(cited)
    yield from _how(report, cited)


def _ledger(evidence: Mapping[str, Any]) -> Iterator[Block]:
    basis, head = evidence["basis"], evidence["head"]
    if basis["in_ledger"] == 0:
        yield Para(
            "None of these audits has an entry in the ledger: they were made before this server kept one. Their proof is the chain of records alone, which an outsider can follow, but"
            " which no signed tree head covers."
        )
        return
    text = (
        f"{basis['in_ledger']:,} of the {w.plural(basis['audits'], 'audit')} in R have entries in the ledger, from index {basis['leaf_first']} to {basis['leaf_last']} (other entries may lie"
        " between)."
    )
    if head is None:
        yield Para(
            f"{text} No signed tree head covers them all yet; until one does, the chain of records is their proof."
        )
        return
    yield Para(
        f"{text} This report was made from the ledger at tree size {head['tree_size']:,}, the first signed head that covers them all, signed at {w.moment(head['at'])}, with the root hash"
        f" {head['root']} (RFC 9162). The entries of the audits named below were checked against that root with their inclusion proofs, which are in the JSON form."
    )


def _cited_table(cited: list[Mapping[str, Any]]) -> Table:
    rows = []
    for one in cited:
        inclusion = one["inclusion"]
        place = w.NOTHING if one["leaf_index"] is None else f"{one['leaf_index']}"
        if inclusion is None:
            checked = (
                "record and counts match"
                if one["record_intact"] and one["audit_intact"]
                else "DOES NOT MATCH"
            )
        else:
            good = one["record_intact"] and one["audit_intact"] and inclusion["holds"]
            checked = "record, counts and inclusion match" if good else "DOES NOT MATCH"
        rows.append(
            [one["label"], f"{one['audit_id']}\n{one['hash_value']}", str(one["seq"]), place, checked]
        )
    columns = (
        Column("Audit", 0.6), Column("Audit id, and hash of its record", 4.2, "code"), Column("Record", 0.7, "number"), Column("Ledger index", 0.7, "number"),
        Column("Checked", 1.3),
    )  # fmt: skip
    return Table(
        "Audits named in this report",
        columns,
        rows,
        ("Checked: the hashes were computed again from what is stored, when this report was made.",),
    )


def _how(report: Mapping[str, Any], cited: list[Mapping[str, Any]]) -> Iterator[Block]:
    document = report["document"]
    yield Heading("How to check it")
    example = cited[0]
    yield Bullets(
        [
            "This document: the SHA-256 in its footer is that of the canonical JSON (RFC 8785) of the member “report” of the JSON form,"
            f" GET /v1/compliance/report/{document['model_id']}?start_date={document['start_date']}&end_date={document['end_date']}&format=json, which holds every figure"
            " unrounded, every group and every line behind R.",
            f"A record: GET /api/verify_alert/{example['record_id']} computes its hash again from the log and from the row, and checks chain and anchor.",
            f"A figure: GET /v1/audits/{example['audit_id']}?counts=1 gives the count table from which every count-based figure of that audit follows. Tables add: the sum of the tables of the"
            " audits behind R gives the figures of the range.",
            "Without access to this server: fairlens export-evidence writes the range's evidence to one file, and fairlens verify checks it with the public key alone.",
        ]
    )
