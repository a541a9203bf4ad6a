"""Wilson's interval against published values and its own definition."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fairlens_backend.core.inference.intervals import Z_95, wilson_interval


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_the_published_table(successes: int, n: int, low: float, high: float) -> None:
    """Newcombe, Two-sided confidence intervals for the single proportion (Statistics in Medicine 1998), table I, method 3."""
    interval = wilson_interval(successes, n)
    assert interval is not None
    assert [round(limit, 4) for limit in interval] == [low, high]


@given(st.integers(1, 10**9), st.data())
def test_the_limits_solve_the_score_equation_and_hold_the_rate(n: int, data: st.DataObject) -> None:
    """At a limit L, (p − L)² = z²·L(1 − L)/n; the interval lies in [0, 1] and contains successes / n."""
    successes = data.draw(st.integers(0, n))
    interval = wilson_interval(successes, n)
    assert interval is not None
    assert 0 <= interval[0] <= successes / n <= interval[1] <= 1
    for limit in interval:
        assert (successes / n - limit) ** 2 == pytest.approx(Z_95**2 * limit * (1 - limit) / n, abs=1e-12)


def test_no_rows_have_no_interval() -> None:
    """Nothing known is not an interval from 0 to 1."""
    assert wilson_interval(0, 0) is None
