"""Labels and attributes that come later are read by what the model declares then, whoever sent its last event."""

import json
from typing import Any

import pytest

from fairlens_backend import attribute_supply, count_keeper, model_registry
from fairlens_backend.core.counts import CountTable
from tests.ingest_kit import DECLARED, NOW, SENDER, day_window, event, label, register, send


@pytest.fixture(autouse=True)
def model(database: None) -> None:
    """The model `hiring`, with two decisions of which this process knows how they were read."""
    register()
    send([event("e1"), event("e2")])
    label([("e1", "good")])


def replace(**declared: Any) -> None:
    """Put other declarations in the place of the version's, as another process may: without an event of it here."""
    model_registry.register_model(
        "hiring",
        "v1",
        tenant="acme",
        declarations={**DECLARED, **declared},
        created_by="ann",
        now=NOW,
        replace=True,
    )


def counted() -> CountTable:
    """All that was counted."""
    return count_keeper.window_table("acme", "hiring", *day_window())


def test_a_late_label_is_read_by_the_declarations_of_now() -> None:
    """What became favourable a moment ago is, with no event and no waiting between; what is counted stays as it was."""
    replace(favourable={"decision": ["yes"], "truth": ["fine"]})
    assert label([("e2", "fine")])["joined"] == 1
    assert counted().n.sum(axis=0)[1, 1].sum() == 2
    replace(favourable={"decision": ["yes"], "truth": ["good"]}, unfavourable={"truth": ["bad"]})
    assert label([("e2", "fine")])["undeclared"] == 1


def test_a_late_attribute_is_grouped_by_the_declarations_of_now() -> None:
    """Bands of age that were drawn anew."""
    replace(group_definitions={"age": {"bands": [40]}})
    body = {"attributes": [{"event_id": "e1", "attributes": {"age": 35}}]}
    assert attribute_supply.supply(SENDER, json.dumps(body).encode(), NOW)["moved"] == 1
    assert {age for _, age in counted().groups} == {"30_50", "UNDER_40"}


def test_a_label_of_a_model_that_no_longer_says_what_is_favourable_is_read_as_before() -> None:
    """Its sender cannot help it, and the labels beside it are joined."""
    replace(favourable={})
    assert label([("e1", "bad"), ("e2", "good")])["joined"] == 2
