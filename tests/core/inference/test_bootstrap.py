"""One set of draws serves every view, and the same table and seed give the same draws."""

from typing import Any

import numpy as np
import pytest

from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.inference import bootstrap
from fairlens_backend.core.inference.bootstrap import draw_tables, jackknife_acceleration
from fairlens_backend.core.inference.calibration import calibration_interval
from fairlens_backend.core.metrics import GroupRates
from fairlens_backend.core.metrics.calibration_gap import calibration_gap

VIEWS = [["sex"], ["race"], ["sex", "race"], ["race", "sex"]]


def columns(rows: int = 500, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    score = rng.random(rows)
    score[rng.random(rows) < 0.1] = np.nan
    return {
        "protected": {"sex": rng.choice(["F", "M"], rows), "race": rng.choice(["A", "B", "C"], rows)},
        "decision": rng.integers(0, 2, rows),
        "truth": rng.integers(-1, 2, rows),
        "score": score,
    }


def test_every_draw_is_a_table_of_as_many_rows_and_views_agree() -> None:
    """Each draw has the rows of the table, and what two views share is the same in both: one set of draws."""
    table = CountTable.from_arrays(**columns())
    sex, race, both, other = draw_tables(table, VIEWS, scored=True, n_resamples=50, seed=3)
    assert (sex.n.sum(axis=(1, 2, 3)) == 500).all() and sex.n.shape == (50, 2, 2, 3)
    np.testing.assert_array_equal(both.n.reshape(50, 2, 3, 2, 3).sum(axis=2), sex.n)
    np.testing.assert_array_equal(both.n.reshape(50, 2, 3, 2, 3).sum(axis=1), race.n)
    np.testing.assert_array_equal(other.n.reshape(50, 3, 2, 2, 3).sum(axis=2), race.n)
    assert sex.scored is not None and both.scored is not None
    np.testing.assert_array_equal(both.scored.reshape(50, 2, 3, 2, 10).sum(axis=2), sex.scored)
    # labelled rows with a score are those of the bins
    assert (sex.scored.sum(axis=(2, 3)) <= sex.n[..., :2].sum(axis=(2, 3))).all()


def test_the_draws_have_the_mean_and_the_variance_of_the_multinomial() -> None:
    """Cell counts: mean n·p, variance n·p·(1 − p); 4,000 draws, 5 standard errors."""
    table = CountTable.from_arrays(**columns())
    (sex,) = draw_tables(table, [["sex"]], scored=False, n_resamples=4000, seed=1)
    expected = table.marginal(["sex"]).decided
    variance = expected * (1 - expected / 500)
    np.testing.assert_array_less(np.abs(sex.n.mean(axis=0) - expected), 5 * np.sqrt(variance / 4000) + 1e-9)
    np.testing.assert_allclose(sex.n.var(axis=0), variance, rtol=5 * np.sqrt(2 / 4000))


def test_same_table_and_seed_same_bytes_whatever_the_order_of_the_rows() -> None:
    """Groups and cells are sorted; another seed gives other draws."""
    given = columns()
    order = np.random.default_rng(8).permutation(500)
    mixed = {name: values[order] for name, values in given.items() if name != "protected"}
    mixed["protected"] = {name: values[order] for name, values in given["protected"].items()}
    one, two = CountTable.from_arrays(**given), CountTable.from_arrays(**mixed)
    for a, b in zip(
        *(draw_tables(t, VIEWS, scored=True, n_resamples=5, seed=2) for t in (one, two)), strict=True
    ):
        assert a.n.tobytes() == b.n.tobytes() and np.array_equal(a.scored, b.scored)
    (other,) = draw_tables(one, [["sex"]], scored=True, n_resamples=5, seed=4)
    (same,) = draw_tables(one, [["sex"]], scored=True, n_resamples=5, seed=2)
    assert not np.array_equal(other.n, same.n)


def test_the_first_draws_are_known() -> None:
    """PCG64 with seed 0 of 60 and 40 rows: numpy's own stream, so that no machine and no release changes an audit unseen."""
    table = CountTable.from_arrays({"g": ["A"] * 60 + ["B"] * 40}, [1] * 100)
    (draws,) = draw_tables(table, [["g"]], scored=False, n_resamples=4, seed=0)
    expected = np.random.Generator(np.random.PCG64(0)).multinomial(100, [0.6, 0.4], size=4)
    np.testing.assert_array_equal(draws.n[:, :, 1, 2], expected)


def test_pieces_do_not_change_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables with many cells are drawn some resamples at a time, to bound the memory."""
    table = CountTable.from_arrays(**columns())
    whole = draw_tables(table, VIEWS, scored=True, n_resamples=23, seed=5)
    monkeypatch.setattr(bootstrap, "_AT_ONCE", 700)
    for a, b in zip(whole, draw_tables(table, VIEWS, scored=True, n_resamples=23, seed=5), strict=True):
        np.testing.assert_array_equal(a.n, b.n)
        np.testing.assert_array_equal(a.scored, b.scored)


def test_the_acceleration_is_that_of_leaving_rows_out_one_by_one() -> None:
    """Brute force: a rate of 7 in 20, each row left out; equation 6.6 of Efron 1987."""
    rows = np.array([1] * 7 + [0] * 13)
    without = np.array([np.delete(rows, i).mean() for i in range(20)])
    apart = without.mean() - without
    expected = (apart**3).sum() / (6 * (apart**2).sum() ** 1.5)
    got = jackknife_acceleration([13, 7], lambda cells: cells[..., 1] / cells.sum(axis=-1))
    assert got == pytest.approx(expected, rel=1e-12)
    assert jackknife_acceleration([0, 5], lambda cells: cells[..., 1] / cells.sum(axis=-1)) == 0.0


def calibrated(rng: np.random.Generator, shift: float, rows: int) -> np.ndarray:
    """Labelled rows of two groups by truth and bin; of the first the outcome is rarer by `shift` in every bin."""
    n = rng.multinomial(rows, np.full(10, 0.1), size=2)
    rate = np.clip(np.linspace(0.1, 0.9, 10) - np.array([[shift], [0.0]]), 0, 1)
    positive = rng.binomial(n, rate)
    return np.stack([n - positive, positive], axis=1)


@pytest.mark.parametrize(("shift", "rows"), [(0.0, 1000), (0.1, 1000), (0.1, 5000)])
def test_the_calibration_interval_covers(shift: float, rows: int) -> None:
    """300 data sets: the truth is inside in at least 93 %, less 3 standard errors; without a gap it can say none."""
    rng = np.random.default_rng(int(shift * 100) + rows)
    held = 0
    for _ in range(300):
        scored = calibrated(rng, shift, rows)
        cells = scored.reshape(-1)
        drawn = (
            rng.multinomial(cells.sum(), cells / cells.sum(), size=400)
            .reshape(400, *scored.shape)
            .astype(float)
        )
        value = float(calibration_gap(GroupRates(np.zeros((2, 2, 3)), scored), 1).value)
        low, high, method = calibration_interval(scored, drawn, 1, 0, value, 1)
        assert low <= value <= high and method == "percentile"
        held += low <= shift <= high
    assert held / 300 >= 0.93 - 3 * np.sqrt(0.05 * 0.95 / 300)


def test_outcomes_that_never_vary_still_have_an_interval() -> None:
    """Every outcome favourable in both groups: no draw moves, and the interval is Newcombe's, not a point."""
    scored = np.zeros((2, 2, 10), dtype=np.int64)
    scored[:, 1, 4] = 50
    low, high, method = calibration_interval(scored, np.stack([scored.astype(float)] * 9), 1, 0, 0.0, 1)
    assert low == 0.0 and high > 0.05 and method == "newcombe"
