"""Protected attributes that are known by probability only, in an audit of rows: what `audit(..., proxies=…)` measures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from fairlens_backend.audit_plan import IDENTITY, AuditPlan
from fairlens_backend.audit_result import AuditResult
from fairlens_backend.core.proxies import SoftCounts, estimate_with_proxies
from fairlens_backend.errors import InvalidInput

__all__ = ["ProxyColumns", "estimate_proxies", "only_by_proxy", "parse_proxies"]

_KEYS = ("groups", "stratum")


@dataclass(frozen=True)
class ProxyColumns:
    """Where the probabilities of one attribute's groups are.

    Parameters
    ----------
    attribute : the protected attribute that the proxy stands for
    groups : for each group the column of P(group | row)
    stratum : the column of the proxy's value, such as a surname's ZIP code, within which the bounds are taken; None for
        rows with nearly the same probabilities
    """

    attribute: str
    groups: Mapping[str, str]
    stratum: str | None = None

    @property
    def columns(self) -> list[str]:
        """Every column that is read, each once."""
        named = [*self.groups.values(), *([] if self.stratum is None else [self.stratum])]
        return list(dict.fromkeys(named))


def parse_proxies(proxies: Mapping[str, Any] | None, recorded: list[str]) -> list[ProxyColumns]:
    """Read `{attribute: {group: column}}` or `{attribute: {"groups": {group: column}, "stratum": column}}`.

    Raises
    ------
    InvalidInput : it has another form, or an attribute is among the recorded ones, with which it is never merged
    """
    found = []
    for attribute, given in (proxies or {}).items():
        field = f"proxies.{attribute}"
        if attribute in recorded:
            raise InvalidInput(
                f"{attribute} is a recorded attribute; one by proxy is never merged with it and needs another name",
                field=field, got=str(attribute), expected="a name that protected does not have",
            )  # fmt: skip
        nested = isinstance(given, Mapping) and isinstance(given.get("groups"), Mapping)
        columns = given["groups"] if nested else given
        unknown = [key for key in given if key not in _KEYS] if nested else []
        if not isinstance(columns, Mapping) or len(columns) < 2 or unknown:
            raise InvalidInput(
                f"{field} is {given!r}; a mapping of at least two groups to their columns of probabilities was expected,"
                " or one with the keys groups and stratum",
                field=field, got=str(given), expected='{"F": "p_female", "M": "p_male"}',
            )  # fmt: skip
        stratum = given.get("stratum") if nested else None
        found.append(
            ProxyColumns(
                str(attribute),
                {str(group): str(column) for group, column in columns.items()},
                None if stratum is None else str(stratum),
            )
        )
    return found


def estimate_proxies(
    rows: pd.DataFrame, plan: AuditPlan, proxies: list[ProxyColumns], references: Mapping[str, Any]
) -> dict[str, Any]:
    """For each attribute the weighted estimates and the sharp bounds (`estimate_with_proxies`), with a `sentence`.

    Parameters
    ----------
    rows : the columns of the plan's layout and of the proxies
    references : the declared reference groups of these attributes
    """
    decision, truth = plan.counter().outcomes_of(rows)
    decided = decision >= 0
    estimates = {}
    for proxy in proxies:
        membership = (
            rows[list(proxy.groups.values())].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
        )
        missing = np.isnan(membership)
        texts = missing & rows[list(proxy.groups.values())].notna().to_numpy()
        if texts.any():
            row, column = (int(at[0]) for at in np.nonzero(texts))
            raise InvalidInput(
                f"Column {list(proxy.groups.values())[column]!r} has in row {row + 1} a value that is not a probability.",
                field=f"proxies.{proxy.attribute}", got="not a number", expected="a number from 0 to 1",
            )  # fmt: skip
        # A row without a proxy is of unknown group: all zeros.
        membership = np.where(missing, 0.0, membership)
        soft = SoftCounts.from_arrays(
            proxy.attribute,
            list(proxy.groups),
            membership[decided],
            decision[decided],
            None if truth is None else truth[decided],
            None if proxy.stratum is None else rows[proxy.stratum][decided].reset_index(drop=True),
        )
        estimate = estimate_with_proxies(
            soft,
            reference=references.get(proxy.attribute),
            min_group_size=plan.policy.min_group_size,
            n_resamples=plan.n_resamples,
            seed=plan.seed,
        )
        estimates[proxy.attribute] = {**estimate, "sentence": _sentence(estimate)}
    return estimates


def only_by_proxy(rows: pd.DataFrame, plan: AuditPlan, estimates: dict[str, Any]) -> AuditResult:
    """The result where no attribute is recorded: the estimates, and no verdict."""
    decision, truth = plan.counter().outcomes_of(rows)
    decided = decision >= 0
    sample_size = int(decided.sum())
    labelled = 0 if truth is None else int((truth[decided] >= 0).sum())
    missing = len(rows) - sample_size
    return AuditResult(
        {
            **dict.fromkeys(IDENTITY),
            "sample_size": sample_size,
            "labelled_size": labelled,
            "label_coverage": labelled / sample_size if sample_size else None,
            "protected_attributes": [],
            "metrics": {},
            "attributes": {},
            "demographic_slices": [],
            "demographic_slices_left_out": 0,
            "impact_ratio_tables": [],
            "overall_severity": "UNKNOWN",
            "alert": False,
            "reference_groups": {},
            "worst_groups": {},
            "settings": plan.policy.to_dict(),
            "resampling": {"seed": plan.seed, "n_resamples": plan.n_resamples},
            "sentences": ["No protected attribute is recorded, and groups known by proxy decide no verdict."],
            "triggered_mitigation": False,
            "mitigation_id": None,
            "remarks": [f"{missing} of {len(rows)} rows have no decision and were not counted."]
            if missing
            else [],
            "proxies": estimates,
        }
    )


def _sentence(estimate: Mapping[str, Any]) -> str:
    """What the proxy says of the group that is selected least in relation to the reference, and how little that is."""
    attribute, quality = estimate["attribute"], estimate["proxy_quality"]
    reference = estimate["reference_group"]
    lead = f"{attribute} is known by proxy only" + (
        "" if quality is None else f" (quality {quality:.2f} of 1)"
    )
    ratios = {group: pair["selection_rate"]["ratio"] for group, pair in estimate["pairs"].items()}
    known = {group: ratio for group, ratio in ratios.items() if ratio["value"] is not None}
    if not known:
        return f"{lead}: no two groups can be compared."
    group = min(known, key=lambda name: known[name]["value"])
    ratio, bounds = known[group], known[group]["bounds"]
    interval = ratio["interval"]
    rates = [estimate["groups"][name]["rates"]["selection_rate"]["value"] for name in (group, reference)]
    sampled = (
        "" if interval is None else f"; 95 % interval {interval['lower']:.2f} to {interval['upper']:.2f}"
    )
    upper = bounds["upper"]
    possible = f"at least {bounds['lower']:.2f}" if upper is None else f"{bounds['lower']:.2f} to {upper:.2f}"
    return (
        f"{lead}: {attribute}={group} is estimated to be selected {ratio['value']:.2f} times as often as"
        f" {attribute}={reference} ({100 * rates[0]:.1f} % against {100 * rates[1]:.1f} %{sampled})."
        f" The proxy alone leaves any ratio of {possible} possible."
    )
