"""Samples of stored decisions: bounded, the same for the same seed, right in every row; and what proxies estimate of them."""

import random
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from fairlens_backend import (
    attribute_supply,
    count_keeper,
    event_retention,
    event_sampler,
    privacy_keeper,
    proxy_estimator,
    proxy_tables,
    window_auditor,
)
from fairlens_backend.errors import InvalidInput, NotFound
from fairlens_backend.schemas.audits import WindowAuditRequest
from fairlens_backend.schemas.privacy import ProxyEstimatesQuery
from fairlens_backend.storage import dead_letters, event_rows, tables
from fairlens_backend.storage.session import read_snapshot
from tests.ingest_kit import NOW, SENDER, brute_table, event, label, register, send

START, END = NOW.replace(second=0) - timedelta(hours=5), NOW.replace(second=0) + timedelta(minutes=1)


@pytest.fixture(autouse=True)
def model(database: None) -> None:
    """The model `hiring`, registered."""
    register()


def table_of(n: int, start: int = 0, minutes: int = 200) -> dict[str, Any]:
    """Decisions in columns, each of whose values follows from its number."""
    rows = range(start, start + n)
    return {
        "model_id": "hiring",
        "event_id": [f"e{i}" for i in rows],
        "timestamp": [NOW.timestamp() - 60 * (i % minutes) for i in rows],
        "label": ["yes" if i % 3 else "no" for i in rows],
        "score": [i % 11 / 10 for i in rows],
        "ground_truth": ["good" if i % 2 else "bad" if i % 5 else None for i in rows],
        "features": {"number": list(rows), "word": [f"w{i % 7}" for i in rows]},
        "demographic_tags": {"sex": ["FM"[i % 2] for i in rows], "age": [20 + i % 60 for i in rows]},
    }


def test_a_sample_holds_whole_rows() -> None:
    """Each row's decision, truth, score, groups and features are those that were sent; no row stands there twice."""
    send(table_of(1300))
    sample = event_sampler.sample("acme", "hiring", START, END, seed=3, n=500)
    assert sample is not None and len(sample) == 500 and sample.total == 1300
    numbers = sample.features["number"].tolist()
    assert len(set(numbers)) == 500
    for row, i in enumerate(numbers):
        truth = 1 if i % 2 else 0 if i % 5 else -1
        assert (sample.decision[row], sample.truth[row]) == (int(i % 3 > 0), truth)
        assert sample.score[row] == pytest.approx(i % 11 / 10) and sample.features["word"][row] == f"w{i % 7}"
        age = 20 + i % 60
        band = "UNDER_30" if age < 30 else "30_50" if age < 50 else "50_PLUS"
        assert (sample.protected["sex"][row], sample.protected["age"][row]) == ("FM"[i % 2], band)


def test_features_that_are_no_plain_values_are_categories() -> None:
    """An object or a list is compared as a whole, whatever the order of its keys; the audit of its window goes on."""
    table = table_of(120)
    values = [
        {"b": [1, {"c": None}], "a": i % 2} if i % 3 else {"a": i % 2, "b": [1, {"c": None}]}
        for i in range(120)
    ]
    send({**table, "features": {"nested": values, "list": [[i % 4] for i in range(120)]}})
    sample = event_sampler.sample("acme", "hiring", START, END)
    assert (
        sample is not None
        and sample.features["nested"].nunique() == 2
        and sample.features["list"].nunique() == 4
    )
    wanted = WindowAuditRequest(window_hours=5, sample_rows=100)
    measured = window_auditor.audit_window("acme", "hiring", wanted, NOW)["metrics"][
        "individual_fairness_score"
    ]
    assert measured["value"] is not None


def test_of_very_many_features_the_most_frequent_are_sampled() -> None:
    """A caller that sends thousands of names does not make an audit last for minutes."""
    send({**table_of(20), "features": {f"rare{i:03}": [i] * 20 for i in range(300)}})
    send(table_of(50, start=20))
    sample = event_sampler.sample("acme", "hiring", START, END)
    assert sample is not None and len(sample.features.columns) == event_sampler.MAX_FEATURES
    assert {"number", "word", "rare000"} < set(sample.features) and "rare299" not in sample.features


def test_the_same_seed_draws_the_same_rows() -> None:
    """And another seed others; features as wanted, those that nobody has left out."""
    send(table_of(900))
    draws = [
        event_sampler.sample(
            "acme", "hiring", START, END, seed=seed, n=50, features=["word", "number", "none"]
        )
        for seed in (1, 1, 2)
    ]
    numbers = [draw.features["number"].tolist() for draw in draws if draw is not None]
    assert numbers[0] == numbers[1] != numbers[2]
    assert all(list(draw.features) == ["word", "number"] for draw in draws if draw is not None)


def test_a_window_limits_its_sample() -> None:
    """Its first minute counts, its last not; nothing in it is None; other versions and tenants are not in it."""
    send(table_of(600))
    low, high = NOW.replace(second=0) - timedelta(minutes=20), NOW.replace(second=0) - timedelta(minutes=10)
    sample = event_sampler.sample("acme", "hiring", low, high)
    assert sample is not None
    expected = {i for i in range(600) if 11 <= i % 200 <= 20}
    assert set(sample.features["number"].tolist()) == expected and sample.total == len(expected)
    assert event_sampler.sample("acme", "hiring", low - timedelta(days=9), low - timedelta(days=8)) is None
    assert event_sampler.sample("acme", "hiring", low, high, version="v2") is None
    assert event_sampler.sample("other", "hiring", low, high) is None


def test_late_labels_and_attributes_are_in_the_sample() -> None:
    """Groups and truths are those that are counted now; features of a model that keeps none are not there."""
    register("private", store_features=False)
    send(event("a", model_id="private", features={"x": 1}))
    label([("a", "bad")])
    attribute_supply.supply(SENDER, b'{"attributes": [{"event_id": "a", "attributes": {"sex": "M"}}]}', NOW)
    sample = event_sampler.sample("acme", "private", START, END, features=["x"])
    assert sample is not None and (sample.truth.tolist(), sample.protected["sex"].tolist()) == ([0], ["M"])
    assert list(sample.features) == []


def test_a_bounded_number_of_batches_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the window holds; over many seeds every batch is drawn about as often."""
    for k in range(30):
        send(
            [
                event(f"{k}-{i}", features={"k": k}, timestamp=(NOW - timedelta(minutes=k)).isoformat())
                for i in range(3)
            ]
        )
    monkeypatch.setattr(event_sampler, "MAX_BATCHES", 6)
    drawn = np.zeros(30)
    for seed in range(200):
        sample = event_sampler.sample("acme", "hiring", START, END, seed=seed)
        assert sample is not None and len(sample) == 18 and sample.total == 90
        drawn[sorted(set(sample.features["k"].tolist()))] += 1
    # 200 draws of 6 in 30: 40 each, standard deviation 5.7
    assert drawn.sum() == 1200 and drawn.min() > 15 and drawn.max() < 65


def test_estimates_by_proxy() -> None:
    """Rates weighted by the probabilities of those without a recorded group; they are marked, and no count changes."""
    privacy_keeper.change("acme", {"proxies": {"gender": True}}, "ann", NOW)
    chance = random.Random(2)
    names = [chance.choice(["Mary", "James", "Leslie", "Qqzzx"]) for _ in range(400)]
    labels = ["yes" if chance.random() < (0.3 if name == "Mary" else 0.6) else "no" for name in names]
    events = [
        event(
            f"e{i}",
            demographic_tags={} if i % 4 else {"sex": "F"},
            features={"first_name": name},
            prediction={"label": one},
        )
        for i, (name, one) in enumerate(zip(names, labels, strict=True))
    ]
    send(events)
    found = proxy_estimator.estimates("acme", "hiring", ProxyEstimatesQuery(window_hours=1), NOW)
    assert found["is_estimate"] is True and found["sampled"] is False
    one = found["attributes"]["sex"]
    assert (one["recorded"], one["by_proxy"], one["without_proxy"], one["is_proxy"]) == (100, 300, 0, True)
    counts = proxy_tables.first_names().counts
    p = {name: counts[name.lower()][0] / sum(counts[name.lower()]) for name in ("Mary", "James", "Leslie")}
    pairs = [
        (p.get(name, 0.0), one) for i, (name, one) in enumerate(zip(names, labels, strict=True)) if i % 4
    ]
    expected = sum(w for w, said in pairs if said == "yes") / sum(w for w, _ in pairs)
    female = one["groups"]["Female"]["rates"]["selection_rate"]
    assert female["value"] == pytest.approx(expected, rel=1e-6)
    assert female["bounds"]["lower"] <= expected <= female["bounds"]["upper"]
    sexes = count_keeper.window_table("acme", "hiring", START, END, attributes=["sex"])
    assert {group: int(n.sum()) for (group,), n in zip(sexes.groups, sexes.n, strict=True)} == {
        "F": 100,
        "unknown": 300,
    }
    with pytest.raises(NotFound, match="No decision"):
        proxy_estimator.estimates("acme", "hiring", ProxyEstimatesQuery(attribute="race"), NOW)
    with pytest.raises(NotFound):
        proxy_estimator.estimates("acme", "never", ProxyEstimatesQuery(), NOW)


def test_counts_of_old_minutes_are_folded_away(make_settings: Any) -> None:
    """Whole hours and days say the same as before; a window that cuts such an hour is refused by the limit that does."""
    send(table_of(600, minutes=59 * 60))
    rows = [("no", None, None, "M", "50_PLUS")]
    old = NOW - timedelta(days=95)
    send(
        event(
            "old",
            timestamp=old.isoformat(),
            prediction={"label": "no"},
            demographic_tags={"sex": "M", "age": 60},
        )
    )
    count_keeper.compact(NOW)
    start = old.replace(minute=0, second=0)
    cut = old.replace(second=0)
    assert count_keeper.window_table("acme", "hiring", cut, cut + timedelta(minutes=1)) == brute_table(rows)
    assert event_retention.purge(NOW)["minute_counts"] == 1
    assert event_retention.purge(NOW)["minute_counts"] == 0
    assert count_keeper.window_table("acme", "hiring", start, start + timedelta(hours=1)) == brute_table(rows)
    with pytest.raises(InvalidInput, match="MINUTE_COUNTS_DAYS"):
        count_keeper.window_table("acme", "hiring", cut, start + timedelta(hours=1))
    whole = count_keeper.window_table("acme", "hiring", start, NOW.replace(second=0) + timedelta(minutes=1))
    assert whole.total == 601
    assert count_keeper.window_table("acme", "hiring", NOW.replace(second=0), END).total == 1


def test_old_dead_letters_go() -> None:
    """After DEAD_LETTER_DAYS, the oldest first; younger ones stay."""
    for number, days in enumerate((91, 91, 89)):
        send([{"event_id": f"bad{number}", "model_id": "hiring"}], now=NOW - timedelta(days=days))
    assert event_retention.purge(NOW)["dead_letters"] == 2
    with read_snapshot():
        assert len(dead_letters.page("acme", 10)) == 1


def test_rows_read_are_those_of_drawn_batches_only() -> None:
    """The plan reads the index of batches and the drawn rows; it never walks the table of rows."""
    send(table_of(600))
    with read_snapshot():
        drawn = list(event_rows.drawn([1], 0, 2**40, batches=1, seed=5))
    assert len(drawn) == 1 and len(drawn[0].places) <= 512


def test_details_go_with_their_rows() -> None:
    """RAW_EVENTS_DAYS is the time of both."""
    for days in (91, 1):
        send(event(f"e{days}", timestamp=(NOW - timedelta(days=days)).isoformat(), features={"x": days}))
    with read_snapshot() as found:
        assert found.query(tables.detail_tables.EventDetails).count() == 2
    count_keeper.purge_raw(NOW)
    with read_snapshot() as found:
        left = [row.batch_id for row in found.query(tables.detail_tables.EventDetails)]
        assert left == [row.id for row in found.query(tables.event_tables.EventBatch)] and len(left) == 1
