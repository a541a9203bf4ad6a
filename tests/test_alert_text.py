"""The text that an alerting record keeps: what was found, in words for a person."""

from datetime import UTC, datetime

from fairlens_backend.alert_text import compose_alert_text
from fairlens_backend.core.assessment import assess
from fairlens_backend.core.counts import CountTable

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_the_text_tells_a_person_what_was_found_and_what_to_do() -> None:
    """Model, version, record, groups, value, limit, sizes, steps. By hand: 20 of 100 against 40 of 100 is 0.5."""
    table = CountTable.from_arrays(
        {"gender": ["Female"] * 100 + ["Male"] * 100}, decision=[0] * 80 + [1] * 20 + [0] * 60 + [1] * 40
    )
    text = compose_alert_text(assess(table), "loan_model", "2", "rec_1", NOW)
    lines = text.splitlines()
    assert lines[0] == "CRITICAL: model loan_model (version 2) treats groups differently beyond its limits."
    assert lines[1] == (
        "Checked at 2026-01-02T03:04:05.000000Z on 200 decisions, 0 of them with a known outcome. Record rec_1."
    )
    assert (
        "- disparate impact ratio of gender: 0.5000, limit 0.8; "
        "Female (100 decisions) compared with Male (100 decisions)"
    ) in lines
    assert any(line.startswith("- Female is selected 0.50 times as often as Male") for line in lines)
    assert "1. Do not let this model decide alone until a person has looked at these figures." in lines
    assert lines[-1] == "Evidence: GET /api/verify_alert/rec_1"


def test_a_long_alert_is_cut_with_the_number_left_out() -> None:
    """Twenty findings are read, the others are counted; a limit passed by chance is no breach in the list."""
    metric = {"name": "disparate_impact_ratio", "value": 0.7, "threshold": 0.8, "breached": True, "significant": False,
              "groups_compared": ["b", "a"], "sample_sizes": {}}  # fmt: skip
    assessment = {"overall_severity": "MEDIUM", "sample_size": 9, "labelled_size": 3,
                  "sentences": [f"finding {number}" for number in range(25)], "attributes": {"x": {"m": metric}}}  # fmt: skip
    text = compose_alert_text(assessment, "m", "1", "r", NOW)
    assert "- finding 19\n- 5 more in the audit." in text and "finding 20" not in text
    assert "disparate impact" not in text
    assert "1. Look at the audit before the model's next training." in text


def test_theil_stands_without_groups() -> None:
    """A metric that compares no two groups is listed with its value and limit alone."""
    metric = {"name": "theil_index", "value": 0.3, "threshold": 0.2, "breached": True, "significant": True,
              "groups_compared": [], "sample_sizes": {"a": 5}}  # fmt: skip
    assessment = {"overall_severity": "HIGH", "sample_size": 9, "labelled_size": 3, "sentences": [], "attributes": {"x": {"m": metric}}}  # fmt: skip
    assert "- theil index of x: 0.3000, limit 0.2\n" in compose_alert_text(assessment, "m", "1", "r", NOW)
