"""Rows with scores, collapsed and searched: what the tests of thresholds share."""

from typing import Any

import numpy as np
import pandas as pd

from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.threshold_search import search_thresholds

CRITERIA = ("demographic_parity", "equal_opportunity", "equalized_odds")


def collapsed(rows: pd.DataFrame) -> CountTable:
    return CountTable.from_arrays({"g": rows.g}, rows.decision, rows.truth, rows.score)


def sample(seed: int, n: int = 400, lean: float = 0.15) -> pd.DataFrame:
    """Two groups, scores that tell something of the truth and are lower in one group."""
    rng = np.random.default_rng(seed)
    g = rng.choice(["a", "b"], n, p=[0.4, 0.6])
    score = np.clip(rng.beta(2, 2, n) - lean * (g == "a"), 0, 1)
    truth = (rng.random(n) < score).astype(int)
    return pd.DataFrame({"g": g, "score": score, "truth": truth, "decision": (score >= 0.5).astype(int)})


def search(rows: pd.DataFrame | CountTable, criterion: Any, **more: Any) -> dict[str, Any]:
    table = rows if isinstance(rows, CountTable) else collapsed(rows)
    asked = {"attribute": "g", "reference": "b", "n_resamples": 0, "min_group_size": 1}
    (pair,) = search_thresholds(table, criterion=criterion, **{**asked, **more})["pairs"]
    return dict(pair)
