"""The short notation of an audit says what the long one says; the page's example is written by hand."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fairlens_backend.core.assessment import assess
from fairlens_backend.core.audit_evidence import audit_body
from fairlens_backend.core.audit_notation import entry_version, shortened, spelled_out
from fairlens_backend.core.counts import CountTable

PAGE = Path(__file__).parents[2] / "docs" / "evidence-format.md"
FIGURE: dict[str, Any] = {
    "attribute": "sex", "metric": "statistical_parity_difference", "basis": "counts", "status": "ok", "value": -0.3,
    "signed": -0.3, "lower": -0.432, "upper": -0.168, "method": "newcombe", "p_value": 2.1e-05, "p_adjusted": 2.1e-05,
    "severity": "HIGH", "groups_compared": ["F", "M"], "sample_sizes": {"F": 100, "M": 100},
}  # fmt: skip
COUNTS: dict[str, Any] = {
    "version": 1,
    "attributes": ["sex"],
    "rows": [
        [["F"], 0, 2, 10, 70, "0"],
        [["F"], 1, 2, 10, 30, "0"],
        [["M"], 0, 2, 10, 40, "0"],
        [["M"], 1, 2, 10, 60, "0"],
    ],
}


def test_the_example_of_the_page() -> None:
    """What stands on the page is said by hand in the long notation here; both ways give the other."""
    text = PAGE.read_text(encoding="utf-8")
    counts = json.loads(text.split('`"counts":')[1].split("` and")[0])
    figures = json.loads(text.split('`"figures":')[1].split("`:")[0])
    long = spelled_out({"counts": counts, "figures": figures})
    stated = {name: value for name, value in FIGURE.items() if name != "sample_sizes"}
    assert long == {"counts": COUNTS, "figures": [stated]}
    short = shortened({"counts": COUNTS, "figures": [FIGURE]})
    assert short is not None and short["counts"] == counts
    assert {**short["figures"], "words": 0, "rest": 0} == {**figures, "words": 0, "rest": 0}


@pytest.mark.parametrize("seed", range(6))
def test_there_and_back(seed: int) -> None:
    """Tables come back as they were, figures within half a unit: with scores and without, unknown groups and small ones."""
    chance = np.random.default_rng(seed)
    n = int(chance.integers(0, 600))
    table = CountTable.from_arrays(
        {"sex": chance.choice(["F", "M", ""], n), "race": chance.choice(["A", "B", "C", "D"], n)},
        decision=chance.integers(0, 2, n),
        truth=chance.integers(-1, 2, n),
        score=np.where(chance.random(n) < 0.3, np.nan, chance.random(n)) if seed % 2 else None,
    )
    stamp = "2026-01-01T00:00:00.000000Z"
    names = ("audit_id", "model", "model_version", "audit_timestamp", "window_start", "window_end")
    result = {**assess(table, n_resamples=50), **dict.fromkeys(names, stamp)}
    record = {"record_id": "r", "hash_value": "0" * 64, "audit_sha256": "1" * 64}
    long = audit_body(result, table.to_dict(), record, "test")
    short = shortened(long)
    if short is None:
        assert len(long["counts"]["rows"]) * 20 < 66 * len(table.groups)  # a table that is nearly empty
        return
    assert (entry_version(long), entry_version(short)) == (1, 2)
    assert len(json.dumps(short)) < 0.6 * len(json.dumps(long))
    back = spelled_out(json.loads(json.dumps(short)))
    assert CountTable.from_dict(back["counts"]) == table
    for one, other in zip(long["figures"], back["figures"], strict=True):
        for name, value in one.items():
            if name in ("value", "signed") and value is not None:
                assert abs(other[name] - value) <= 0.51e-12 * max(1.0, abs(value))
            elif isinstance(value, float):
                assert abs(other[name] - value) <= 0.51e-9 * max(1.0, abs(value))
            elif name != "sample_sizes":
                assert other[name] == value


@pytest.mark.parametrize("change", [{"value": 9008.0}, {"upper": 1e7}, {"groups_compared": ["F"]}])
def test_what_the_short_notation_cannot_say(change: dict[str, Any]) -> None:
    """A number that JSON would not keep exactly in these units, or another number of groups: the long notation is kept."""
    assert shortened({"counts": COUNTS, "figures": [FIGURE | change]}) is None
    assert shortened({"counts": COUNTS | {"version": 7}, "figures": [FIGURE]}) is None
