"""The text of an alerting record: what it found, in words. It is kept encrypted with the record."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from fairlens_backend import telemetry
from fairlens_backend.alert_messages import verify_path, what_to_do

MAX_SENTENCES = 20


def compose_alert_text(
    assessment: Mapping[str, Any], model: str, version: str, record_id: str, now: datetime
) -> str:
    """The alert as a person reads it: model, groups, values against limits, sizes, what to do. Figures of groups only.

    Parameters
    ----------
    assessment : what `core.assessment.assess` returns

    Examples
    --------
    >>> from datetime import UTC
    >>> text = compose_alert_text({"overall_severity": "HIGH", "sample_size": 200, "labelled_size": 0, "attributes": {},
    ...     "sentences": ["F is selected 0.70 times as often as M."]}, "loan", "2", "rec_1", datetime(2026, 1, 2, tzinfo=UTC))
    >>> print(text.splitlines()[0])
    HIGH: model loan (version 2) treats groups differently beyond its limits.
    """
    severity = assessment["overall_severity"]
    sentences = assessment["sentences"]
    lines = [
        f"{severity}: model {model} (version {version}) treats groups differently beyond its limits.",
        f"Checked at {telemetry.timestamp(now)} on {assessment['sample_size']} decisions, "
        f"{assessment['labelled_size']} of them with a known outcome. Record {record_id}.",
        "",
        "Findings:",
        *(f"- {sentence}" for sentence in sentences[:MAX_SENTENCES]),
    ]
    if len(sentences) > MAX_SENTENCES:
        lines.append(f"- {len(sentences) - MAX_SENTENCES} more in the audit.")
    lines += ["", "Limits breached, by more than chance explains:", *_breach_lines(assessment)]
    lines += ["", "What to do next:"]
    lines += [f"{number}. {step}" for number, step in enumerate(what_to_do(severity), 1)]
    lines.append(f"Evidence: GET {verify_path(record_id)}")
    return "\n".join(lines)


def _breach_lines(assessment: Mapping[str, Any]) -> Iterator[str]:
    for attribute, metrics in assessment["attributes"].items():
        for metric in metrics.values():
            if not (metric["breached"] and metric["significant"]):
                continue
            compared = _compared(metric["groups_compared"], metric["sample_sizes"])
            yield (
                f"- {metric['name'].replace('_', ' ')} of {attribute}: {metric['value']:.4f}, "
                f"limit {metric['threshold']:g}" + (f"; {compared}" if compared else "")
            )


def _compared(groups: Sequence[str], sizes: Mapping[str, int]) -> str:
    return " compared with ".join(
        f"{group} ({sizes[group]} decisions)" if group in sizes else group for group in groups
    )
