"""An audit's result for a person: a table in plain text, and in HTML without scripts and without outside resources."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any, Final

from fairlens_backend.core.severity import SEVERITIES
from fairlens_backend.impact_ratio_rendering import impact_ratios_as_html, impact_ratios_as_text
from fairlens_backend.metric_catalogue import CATALOGUE

__all__ = ["as_html", "as_page", "as_rows", "as_text", "not_judged"]

COLUMNS: Final = (
    "attribute",
    "metric",
    "value",
    "95 % interval",
    "limit",
    "severity",
    "groups",
    "p adjusted",
)
_NUMBERS: Final = frozenset({"value", "p adjusted"})
# What compares every group of an attribute with its reference group, in decisions and in numbers.
_COMPARES: Final = ("disparate_impact_ratio", "mean_score_gap")
_NUMBER_CLASS: Final = ' class="n"'
# Smaller ones say no more, and their digits hang on the last bits of the distribution.
_LEAST_P: Final = 1e-16
_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;color:#1a1a1a}"
    "table{border-collapse:collapse;width:100%;margin:1rem 0}th,td{text-align:left;padding:.3rem .6rem;"
    "border-bottom:1px solid #ccc;vertical-align:top}td.n{text-align:right;font-variant-numeric:tabular-nums}"
    "caption{text-align:left;font-weight:600;padding:.3rem 0}"
)


def as_rows(result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One flat row for each attribute and metric, in the order of the result."""
    return [_flat(metric) for metrics in result["attributes"].values() for metric in metrics.values()]


def not_judged(result: Mapping[str, Any]) -> list[str]:
    """The protected attributes whose groups could not be compared: a verdict on the others says nothing of them."""
    measured = {name: result["attributes"].get(name, {}) for name in result["protected_attributes"]}
    return [
        name
        for name, metrics in measured.items()
        if any(metrics[key]["status"] == "insufficient_data" for key in _COMPARES if key in metrics)
    ]


def as_text(result: Mapping[str, Any], *, sentences: int | None = None) -> str:
    """The result as a table of fixed width, the worst first, how much was not measured, and its findings in words.

    Without a bound on the sentences the impact ratios follow. Control characters of the data are shown as escapes: a
    group's name must not move the cursor of the terminal it is printed on.

    Parameters
    ----------
    result : what `assess` returns
    sentences : most to write; None for all
    """
    table = list(_table(result))
    shown = [cells for metric, cells in table if metric["status"] == "ok"]
    absent = Counter(metric["status"] for metric, _ in table if metric["status"] != "ok")
    lines = [_headline(result), ""]
    widths = [max(len(name), *(len(row[name]) for row in shown)) if shown else 0 for name in COLUMNS]
    if shown:
        for row in ({name: name for name in COLUMNS}, *shown):
            cells = (
                row[name].rjust(width) if name in _NUMBERS else row[name].ljust(width)
                for name, width in zip(COLUMNS, widths, strict=True)
            )
            lines.append("  ".join(cells).rstrip())
        lines.append("")
    if absent:
        reasons = ", ".join(f"{status} {times}" for status, times in sorted(absent.items()))
        lines += [f"Not measured: {sum(absent.values())} figures ({reasons}).", ""]
    told = _told(result)
    lines += [f"- {sentence}" for sentence in told[:sentences]]
    if sentences is None:
        lines += ["", *impact_ratios_as_text(result)]
    return "\n".join(map(_printable, lines)).rstrip("\n") + "\n"


def as_html(result: Mapping[str, Any]) -> str:
    """The same as a fragment of HTML, every text escaped."""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in COLUMNS)
    body = "".join(
        "<tr>"
        + "".join(
            f"<td{_NUMBER_CLASS if name in _NUMBERS else ''}>{escape(cells[name])}</td>" for name in COLUMNS
        )
        + "</tr>"
        for _, cells in _table(result)
    )
    sentences = "".join(f"<li>{escape(text)}</li>" for text in _told(result))
    return (
        f"<div><p><strong>{escape(_headline(result))}</strong></p>"
        f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><ul>{sentences}</ul></div>"
    )


def as_page(result: Mapping[str, Any], title: str) -> str:
    """A whole HTML document: the result, and every group with its rates."""
    name = escape(title)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{name}</title><style>{_STYLE}</style></head><body><h1>{name}</h1>"
        f"{as_html(result)}{_groups(result)}{impact_ratios_as_html(result)}</body></html>\n"
    )


def _flat(metric: Mapping[str, Any]) -> dict[str, Any]:
    interval = metric.get("confidence_interval") or {}
    compared = [*metric["groups_compared"], None, None]
    return {
        "attribute": metric["attribute"],
        "metric": metric["name"],
        "value": metric["value"],
        "lower": interval.get("lower"),
        "upper": interval.get("upper"),
        "interval_method": interval.get("method"),
        "signed": metric["signed"],
        "threshold": metric["threshold"],
        "breached": metric["breached"],
        "confirmed": metric.get("confirmed"),
        "significant": metric["significant"],
        "severity": metric["severity"],
        "group": compared[0],
        "reference": compared[1],
        "p_value": metric["p_value"],
        "p_adjusted": metric["p_adjusted"],
        "status": metric["status"],
        "reason": metric["reason"],
        "sentence": metric.get("sentence"),
    }


def _table(result: Mapping[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, str]]]:
    """Each flat row with its cells as texts, the worst first."""
    rows = sorted(as_rows(result), key=lambda row: (row["status"] != "ok", SEVERITIES.index(row["severity"])))
    for row in rows:
        ok = row["status"] == "ok"
        groups = " / ".join(group for group in (row["group"], row["reference"]) if group is not None)
        interval = "" if row["lower"] is None else f"{_number(row['lower'])} to {_number(row['upper'])}"
        cells = {
            "attribute": str(row["attribute"]),
            "metric": row["metric"],
            "value": _number(row["value"]) if ok else "-",
            "95 % interval": interval,
            "limit": _limit(row["metric"], row["threshold"]),
            "severity": row["severity"] if ok else row["status"],
            "groups": groups,
            "p adjusted": _p_value(row["p_adjusted"]),
        }
        yield row, cells


def _number(value: float | None) -> str:
    return "-" if value is None else f"{round(value, 3) + 0.0:.3f}"  # adding 0.0 makes -0.000 plain zero


def _p_value(p: float | None) -> str:
    if p is None:
        return ""
    return f"{p:.2g}" if p >= _LEAST_P else f"< {_LEAST_P:g}"


def _limit(name: str, threshold: float | None) -> str:
    if threshold is None:
        return ""
    known = CATALOGUE.get(name)
    when = known.breached_when if known else "above"
    return {"below": "at least ", "above": "at most ", "outside": "within ±"}[when] + f"{threshold:g}"


def _headline(result: Mapping[str, Any]) -> str:
    rows, labelled = result["sample_size"], result["labelled_size"]
    known = "all with a known outcome" if labelled == rows else f"{labelled:,} with a known outcome"
    apart = not_judged(result) if result["overall_severity"] != "UNKNOWN" else []
    only = f" ({', '.join(apart)} could not be judged)" if apart else ""
    return f"FairLens audit: {result['overall_severity']}{only}, {rows:,} decisions, {known}"


def _told(result: Mapping[str, Any]) -> list[str]:
    """Everything that is said in words; what proxies tell comes after what is recorded, and apart."""
    by_proxy = [str(one["sentence"]) for one in result.get("proxies", {}).values()]
    return [*result["sentences"], *by_proxy, *result.get("remarks", ())]


def _groups(result: Mapping[str, Any]) -> str:
    slices: Sequence[Mapping[str, Any]] = result["demographic_slices"]
    if not slices:
        return ""
    names = list(slices[0]["rates"])
    head = "".join(
        f'<th scope="col">{escape(name).replace("_", " ")}</th>' for name in ("group", "rows", *names)
    )
    lines = []
    for one in slices:
        label = ", ".join(f"{name}={group}" for name, group in one["attributes"].items())
        cells = "".join(f'<td class="n">{_rate(one["rates"][name])}</td>' for name in names)
        lines.append(
            f'<tr><th scope="row">{escape(label)}</th><td class="n">{one["size"]:,}</td>{cells}</tr>'
        )
    return (
        f"<table><caption>Every group, {_figures_named(slices)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{''.join(lines)}</tbody></table>"
    )


def _figures_named(slices: Sequence[Mapping[str, Any]]) -> str:
    """What the figures of the groups are; those of numbers have intervals by resampling."""
    intervals = [rate["confidence_interval"] for one in slices for rate in one["rates"].values()]
    by_resampling = any(isinstance(i, Mapping) and i.get("method") == "percentile" for i in intervals)
    return f"{'figures' if by_resampling else 'rates'} with their 95 % {'bootstrap' if by_resampling else 'Wilson'} intervals"


def _printable(line: str) -> str:
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def _rate(rate: Mapping[str, Any]) -> str:
    interval = rate["confidence_interval"]
    if interval is None:
        return _number(rate["value"])
    low, high = (interval["lower"], interval["upper"]) if isinstance(interval, Mapping) else interval[:2]
    return f"{_number(rate['value'])} ({_number(low)} to {_number(high)})"
