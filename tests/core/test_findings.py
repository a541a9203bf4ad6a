"""Each kind of finding in words, with its numbers by hand."""

from fairlens_backend.core.assessment import Policy, assess
from fairlens_backend.core.counts import CountTable

# (group, decision, truth, rows): TPR 60 % against 90 %, FPR 40 % against 20 %, 100 rows of each truth a group
CELLS = [
    ("Women", 1, 1, 60), ("Women", 0, 1, 40), ("Women", 1, 0, 40), ("Women", 0, 0, 60),
    ("Men", 1, 1, 90), ("Men", 0, 1, 10), ("Men", 1, 0, 20), ("Men", 0, 0, 80),
]  # fmt: skip


def table(cells: list[tuple[str, int, int, int]]) -> CountTable:
    rows = [(group, decision, truth) for group, decision, truth, k in cells for _ in range(k)]
    group, decision, truth = zip(*rows, strict=True)
    return CountTable.from_arrays({"sex": group}, decision, truth)


def test_every_breach_has_its_sentence_and_the_ratio_always_one() -> None:
    """The worst first; the ratio speaks though it does not breach, the difference of the same rates is not repeated."""
    assert assess(table(CELLS), reference_groups={"sex": "Men"}, n_resamples=0)["sentences"] == [
        "Among rows whose true outcome is favourable, Women is selected in 60.0 % of cases and Men in 90.0 %,"
        " 30.0 percentage points apart; the limit is 5.0.",
        "Women is selected in 60.0 % of cases where the true outcome is favourable and Men in 90.0 %, and in 40.0 %"
        " against 20.0 % where it is not; on average 25.0 percentage points apart; the limit is 7.0.",
        "Among rows with a favourable decision, Women has a favourable true outcome in 60.0 % of cases and Men in"
        " 81.8 %, 21.8 percentage points apart; the limit is 8.0.",
        "Women is selected 0.91 times as often as Men (50.0 % against 55.0 %); the limit is 0.80.",
        "No row has a score, so what a score means cannot be compared.",
    ]


def test_a_difference_speaks_where_the_ratio_cannot() -> None:
    """Nobody of the reference group is selected."""
    cells = [("Women", 1, 1, 20), ("Women", 0, 1, 80), ("Men", 0, 1, 100)]
    sentences = assess(table(cells), reference_groups={"sex": "Men"}, n_resamples=0)["sentences"]
    assert (
        "Men is selected in 0.0 % of cases and Women in 20.0 %, 20.0 percentage points apart; the limit is 10.0."
        in sentences
    )
    assert "No row of sex=Men got the favourable decision, so there is no rate to divide by." in sentences


def test_what_was_left_out_is_said() -> None:
    """Small groups with their sizes, the largest first, at most five by name; unknown ones counted."""
    small = [(f"tiny{i}", 1, 1, i) for i in range(1, 8)]
    sentences = assess(table([*CELLS, *small, ("", 1, 1, 1)]))["sentences"]
    assert (
        "Too small to compare in sex, 30 rows needed: tiny7 (7 rows), tiny6 (6 rows), tiny5 (5 rows),"
        " tiny4 (4 rows), tiny3 (3 rows) and 2 more." in sentences
    )
    assert "sex is not known for 1 row; they are counted but not compared." in sentences
    assert any(
        sentence.startswith("No reference group of sex was declared; Men was taken") for sentence in sentences
    )


def test_too_few_rows_come_first() -> None:
    """What limits the verdict stands before the figures."""
    sentences = assess(table(CELLS), policy=Policy(min_sample_size=500))["sentences"]
    assert sentences[0] == "Too few rows for a verdict: 400 rows, 500 needed."


def test_a_theil_index_above_its_limit_is_said_once() -> None:
    """It is one figure of all people, though it is kept with every attribute."""
    rows = [(0, 1)] * 100 + [(1, 1)] * 100
    decision, truth = zip(*rows, strict=True)
    columns = {"sex": ["Women", "Men"] * 100, "age": ["young", "young", "aged", "aged"] * 50}
    sentences = assess(CountTable.from_arrays(columns, decision, truth), n_resamples=0)["sentences"]
    # benefits: half 0, half 1, so GE(1) = ln 2
    expected = (
        "The benefit of the decisions is spread unevenly over people: the Theil index is 0.69; the limit is 0.20."
        " This is reported and does not decide the verdict."
    )
    assert sentences.count(expected) == 1


def test_what_decides_the_verdict_is_told_though_a_milder_sentence_speaks_of_the_same_rates() -> None:
    """A small third group makes the equalized odds CRITICAL, the equal opportunity of the same rates is HIGH only.

    TPR: A 50 % and B 62 % of 1000, C 75 % of 40, B being the reference. The widest gap is 25 points, 3.1 times the limit
    of 8; the one to the reference 13 points, 2.6 times the limit of 5. A against B alone has a χ² p-value under 1e-7, and
    with 40 rows C's rate is known to ±14 points: significant, not confirmed.
    """
    cells = [
        ("A", 1, 1, 500), ("A", 0, 1, 500), ("A", 1, 0, 450), ("A", 0, 0, 550),
        ("B", 1, 1, 620), ("B", 0, 1, 380), ("B", 1, 0, 500), ("B", 0, 0, 500),
        ("C", 1, 1, 30), ("C", 0, 1, 10), ("C", 1, 0, 20), ("C", 0, 0, 20),
    ]  # fmt: skip
    result = assess(table(cells), reference_groups={"sex": "B"})
    decides = result["metrics"]["equalized_odds_difference"]
    assert (decides["severity"], result["metrics"]["equal_opportunity_difference"]["severity"]) == (
        "CRITICAL",
        "HIGH",
    )
    assert result["sentences"][0] == (
        decides["sentence"] + " The breach is suspected, not confirmed: its interval reaches the limit."
    )
    assert (
        "sex=A is selected in 50.0 % of cases and sex=C in 75.0 %, the widest such gap: 25.0"
        in decides["sentence"]
    )
