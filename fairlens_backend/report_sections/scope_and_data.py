"""Section 2: which decisions, which audits, which settings, and what was not measured."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from fairlens_backend.report_sections import _words as w
from fairlens_backend.report_sections._blocks import Block, Bullets, Column, Heading, Para, Table

TITLE: Final = "Scope and data"
_GROUPS_NAMED: Final = 8
_VERSIONS_SHOWN: Final = 20


def build(report: Mapping[str, Any]) -> list[Block]:
    """The section's blocks."""
    return [
        *_subject(report),
        *_basis(report),
        *_versions(report),
        *_settings(report),
        *_not_measured(report),
    ]


def _subject(report: Mapping[str, Any]) -> Iterator[Block]:
    model, document = report["model"], report["document"]
    declared = model["declarations"]
    rows = [
        ["Model", document["model_id"]],
        ["Organisation (tenant)", document["tenant"]],
        ["Range", f"{w.moment(document['since'])} up to, not including, {w.moment(document['until'])}"],
        ["Use case", str(declared.get("use_case", "not declared")).replace("_", " ")],
        ["Description", str(declared.get("description") or "none given")],
        ["Favourable decision", _favourable(declared, "decision")],
        ["Favourable outcome", _favourable(declared, "truth")],
        ["Protected attributes", w.listed(report["scope"]["attributes"]) or "none in the range"],
        ["Registered artefact", f"SHA-256 {model['artefact_sha256']}" if model["artefact_sha256"] else "none: decisions were submitted"],
    ]  # fmt: skip
    if not model["registered"]:
        rows.append(
            ["Registration", "The model is not registered; what is known of it came with its submissions."]
        )
    yield Table("The model and the range", (Column("", 1.2), Column("", 4.0)), rows)


def _favourable(declared: Mapping[str, Any], what: str) -> str:
    labels = (declared.get("favourable") or {}).get(what)
    return ", ".join(map(str, labels)) if labels else "as each submission declared it"


def _basis(report: Mapping[str, Any]) -> Iterator[Block]:
    scope = report["scope"]
    yield Heading("The decisions behind the figures")
    if not scope["audits_used"]:
        yield Para("No audit of the range can be used, so there are no figures of it.")
        return
    parts = []
    if scope["windows_used"]:
        parts.append(w.plural(scope["windows_used"], "audit of a window", "audits of windows"))
    if scope["submissions_used"]:
        parts.append(w.plural(scope["submissions_used"], "audit of a submission", "audits of submissions"))
    yield Para(
        f"The figures of the range rest on {w.listed(parts)} with {w.plural(scope['decisions'], 'decision')}, from"
        f" {w.moment(scope['first_window_start'])} to {w.moment(scope['last_window_end'])}. {_counted_once(scope)}Their count tables,"
        " which are kept with their records, were added up; nothing was sampled or estimated. This sum is called R throughout."
    )
    left = [
        (scope["audits_overlapping"], "shares decisions with one that is used, or was revised by it",
         "share decisions with one that is used, or were revised by it"),
        (scope["audits_over_edge"], "begins before the range", "begin before the range"),
        (scope["audits_of_other_attributes"], *["counted other protected attributes"] * 2),
    ]  # fmt: skip
    items = [
        f"{w.sentence_case(w.plural(n, 'audit'))} of the range {one if n == 1 else many}, and {'is' if n == 1 else 'are'} not in R."
        for n, one, many in left
        if n
    ]
    if scope["submissions_alike"]:
        items.append(w.submissions_alike(scope))
    counted = scope["decisions_counted_by_event"]
    if counted:
        share = min(1.0, scope["events_in_windows"] / counted)
        items.append(
            f"FairLens counted {counted:,} single decisions of the model in the range as they came in; the windows in R hold"
            f" {scope['events_in_windows']:,}, which is {w.percent(share)}. Decisions outside them are in no figure here."
        )
    for attribute, n in scope["unknown"].items():
        if n:
            items.append(
                f"{attribute} is not known for {n:,} decisions ({w.percent(n / scope['decisions'])}); they are counted and not compared."
            )
    yield Bullets([*items, *_outcomes(scope)])


def _counted_once(scope: Mapping[str, Any]) -> str:
    """How far it is known that no decision is counted twice."""
    text = ""
    if scope["windows_used"]:
        text = (
            "Windows are chosen so that no decision is counted twice and as many decisions as possible are counted once; of several"
            " audits of one window the newest with the most decisions is taken. "
        )
    if scope["submissions_used"] > 1:
        text += (
            "Each submission is taken to be of other decisions: its rows are not kept, so FairLens cannot tell whether two share some."
            " Where they do, sizes are too large and intervals too narrow. "
        )
    return text


def _outcomes(scope: Mapping[str, Any]) -> Iterator[str]:
    """How many outcomes the figures rest on, and how many came after their audits."""
    labelled, counted = scope["labelled"], scope["decisions_counted_by_event"]
    if not scope["decisions"]:
        yield "R holds no decisions."
        return
    yield (
        f"R holds the true outcome of {labelled:,} of its {scope['decisions']:,} decisions ({w.percent(labelled / scope['decisions'])})."
        " Error rates are of these alone, and hold for the others only if which outcomes are known does not depend on group and decision."
    )
    if scope["outcomes_counted_by_event"] > labelled:
        yield (
            f"Of the {counted:,} single decisions of the range the outcome of {scope['outcomes_counted_by_event']:,} is known by now; R holds"
            " those that were known when its audits were made. Where the windows are audited anew, this report takes the newer audits."
        )


def _versions(report: Mapping[str, Any]) -> Iterator[Block]:
    versions = report["model"]["versions"]
    if not versions:
        return
    shown = [
        [one["version"], w.count(one["audits"]), w.short_moment(one["since"]), w.short_moment(one["until"])]
        for one in versions[:_VERSIONS_SHOWN]
    ]
    columns = (
        Column("Version", 2),
        Column("Audits", 1, "number"),
        Column("First (UTC)", 1.6),
        Column("Last (UTC)", 1.6),
    )
    more = len(versions) - _VERSIONS_SHOWN
    notes = [
        "Times are the ends of the audited windows; windows without a decision are of no version. All versions are together in R."
    ]
    yield Table(
        "Versions of the model in the range",
        columns,
        shown,
        [*notes, *([f"{more} more versions are in the JSON form."] if more > 0 else [])],
    )


def _settings(report: Mapping[str, Any]) -> Iterator[Block]:
    results = report["results"]
    if results is None:
        return
    settings, draws = results["settings"], results["resampling"]
    yield Heading("How it was judged")
    chosen = [
        f"{attribute}: {one['group']} ({'declared' if one['chosen'] == 'declared' else 'not declared; the group with the highest selection rate'})"
        if one["group"]
        else f"{attribute}: none could be found"
        for attribute, one in results["reference_groups"].items()
    ]
    yield Bullets(
        [
            f"Reference groups: {'; '.join(chosen)}.",
            f"Intervals have a level of 95 %. Rates of a group have Wilson intervals; metrics have bootstrap intervals over"
            f" {draws['n_resamples']:,} resampled count tables (seed {draws['seed']}), Newcombe's (differences) or Donner and Zou's (ratios) where a"
            " rate rests on few rows, and simultaneous ones over all pairs where the largest gap of several groups is taken. Section 3 names"
            " those of each table.",
            f"A difference is called significant at an adjusted p-value of at most {settings['alpha']:g}"
            f" ({_correction(settings['correction'])}). A breach is confirmed when its whole interval lies beyond the limit, else suspected.",
            f"A group takes part from {settings['min_group_size']} decisions on; a verdict needs {settings['min_sample_size']}. Below that the"
            " answer is UNKNOWN, never a pass.",
            "Limits are those of the newest audit in R and stand beside each figure.",
        ]
    )


def _correction(name: str) -> str:
    return {
        "bh": "Benjamini–Hochberg over all tests",
        "holm": "Holm over all tests",
        "none": "not adjusted for many tests",
    }[name]


def _not_measured(report: Mapping[str, Any]) -> Iterator[Block]:
    yield Heading("What was not measured")
    results = report["results"]
    if results is None:
        yield Para("Nothing was measured in this range.")
        return
    items = _absent_metrics(results)
    settings = results["settings"]
    for attribute in results["protected_attributes"]:
        small = [
            f"{one['attributes'][attribute]} ({one['size']:,})"
            for one in results["demographic_slices"]
            if list(one["attributes"]) == [attribute] and one["status"] != "ok"
        ]
        if small:
            named = ", ".join(small[:_GROUPS_NAMED]) + (
                f" and {len(small) - _GROUPS_NAMED} more" if len(small) > _GROUPS_NAMED else ""
            )
            items.append(
                f"Groups of {attribute} under {settings['min_group_size']} decisions are listed and not compared: {named}."
            )
    crossings = [one for one in results["demographic_slices"] if len(one["attributes"]) == 2]
    below = sum(one["status"] != "ok" for one in crossings)
    if below:
        items.append(
            f"Of {w.plural(len(crossings), 'crossing')} of two attributes {below:,} {'is' if below == 1 else 'are'} under"
            f" {settings['min_group_size']} decisions and not compared."
        )
    items += [
        "Crossings of three attributes and more.",
        "Attributes that were not given to FairLens, among them any that the law protects and the model's owner does not record.",
        "Why the model decides as it does: the figures are of outcomes, and a difference between groups can have causes outside the model.",
    ]
    yield Bullets(items)


def _absent_metrics(results: Mapping[str, Any]) -> list[str]:
    """For each reason the metrics that it kept from being measured, and of which attributes."""
    reasons: dict[str, dict[str, list[str]]] = {}
    for attribute, metrics in results["attributes"].items():
        for metric in metrics.values():
            if metric["status"] != "ok":
                reason = metric["reason"] or metric["status"]
                reasons.setdefault(reason, {}).setdefault(metric["name"], []).append(attribute)
    for metric in results["metrics"].values():
        if metric["status"] != "ok" and metric["attribute"] is None:
            reasons.setdefault(metric["reason"] or metric["status"], {}).setdefault(metric["name"], [])
    items = []
    for reason, found in reasons.items():
        together: dict[tuple[str, ...], list[str]] = {}
        for name, attributes in found.items():
            together.setdefault(tuple(attributes), []).append(w.metric_name(name))
        told = [
            w.listed(names) + (f" of {w.listed(attributes)}" if attributes else "")
            for attributes, names in together.items()
        ]
        items.append(f"{w.sentence_case('; '.join(told))}. Reason: {reason}")
    return items
