"""One line beside a model: results go through untouched, rows arrive with the decisions that were made."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

pytestmark = pytest.mark.filterwarnings("ignore:X does not have valid feature names")

Connect = Any
Server = Any
SDK = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    return pd.DataFrame(
        {
            "income": rng.normal(50, 10, 1_200),
            "age": rng.integers(18, 80, 1_200),
            "sex": rng.integers(0, 2, 1_200),
        }
    )


@pytest.fixture(scope="module")
def model(frame: pd.DataFrame) -> LogisticRegression:
    return LogisticRegression().fit(frame, (frame["income"] > 50).map({True: "yes", False: "no"}))


def arrived(server: Server) -> dict[str, list[Any]]:
    """The columns of all requests, ordered by event id."""
    joined: dict[str, list[Any]] = {}
    for request in server.requests:
        body = request.body
        parts = {**body, **{f"f.{k}": v for k, v in body["features"].items()}}
        parts.update({f"t.{k}": v for k, v in body["demographic_tags"].items()})
        for name, values in parts.items():
            if isinstance(values, list):
                joined.setdefault(name, []).extend(values)
    return joined


def test_a_wrapped_estimator_predicts_the_same_and_reports_every_row(
    server: Server, connect: Connect, frame: pd.DataFrame, model: LogisticRegression
) -> None:
    """Rows in order, 500 a request; the protected column is a tag and no feature; ids fit to labels later."""
    client = connect(server, strict=True)
    wrapped = client.wrap(model, protected=["sex"])
    np.testing.assert_array_equal(wrapped.predict(frame), model.predict(frame))
    assert client.flush()
    came = arrived(server)
    assert [len(request.event_ids) for request in server.requests] == [500, 500, 200]
    assert came["event_id"] == wrapped.event_ids
    assert came["label"] == model.predict(frame).tolist()
    assert came["f.income"] == frame["income"].tolist()
    assert came["t.sex"] == frame["sex"].tolist()
    assert "f.sex" not in came
    assert wrapped.classes_ is model.classes_


def test_probabilities_are_scores_and_decisions(
    server: Server, connect: Connect, frame: pd.DataFrame, model: LogisticRegression
) -> None:
    """The second class's probability; the decision is the larger one's, or the threshold's."""
    client = connect(server, strict=True)
    found = client.wrap(model, protected=["sex"], threshold=0.8).predict_proba(frame[:300])
    np.testing.assert_array_equal(found, model.predict_proba(frame[:300]))
    assert client.flush()
    came = arrived(server)
    assert came["score"] == found[:, 1].tolist()
    assert came["label"] == ["yes" if p >= 0.8 else "no" for p in found[:, 1]]
    assert came["threshold"] == [0.8] * 300


def test_one_frame_given_to_both_methods_is_reported_once(
    server: Server, connect: Connect, frame: pd.DataFrame, model: LogisticRegression
) -> None:
    """A caller who asks for the class and the probability made one decision a row; asking again is another."""
    client = connect(server, strict=True)
    wrapped = client.wrap(model)
    wrapped.predict(frame)
    wrapped.predict_proba(frame)
    wrapped.predict(frame)
    wrapped.predict(frame)
    other = frame.copy()
    wrapped.predict_proba(other)
    assert client.flush()
    assert client.stats().sent == 4 * len(frame)


def test_arrays_lists_and_scores_on_request(
    server: Server, connect: Connect, frame: pd.DataFrame, model: LogisticRegression
) -> None:
    """Columns of an array are named as the estimator was fitted; a protected one may be a position."""
    client = connect(server, strict=True)
    rows = frame.to_numpy()[:4]
    client.wrap(model, protected=[2], with_score=True).predict(rows)
    assert client.flush()
    came = arrived(server)
    assert came["t.sex"] == rows[:, 2].tolist()
    assert came["score"] == model.predict_proba(rows)[:, 1].tolist()
    server.requests.clear()
    client.wrap(LogisticRegression().fit(rows.tolist(), [0, 1, 0, 1])).predict(rows.tolist())
    assert client.flush()
    assert arrived(server)["f.x1"] == rows[:, 1].tolist()


def test_attributes_that_the_model_does_not_see_come_from_a_function(
    server: Server, connect: Connect, frame: pd.DataFrame
) -> None:
    """Most models are not given the protected attribute."""
    client = connect(server, strict=True)
    blind = LogisticRegression().fit(frame[["income"]], frame["income"] > 50)
    sexes = frame["sex"].map({0: "F", 1: "M"})
    client.wrap(blind, tags=lambda given: {"sex": sexes.loc[given.index]}).predict(frame[["income"]][5:10])
    assert client.flush()
    assert arrived(server)["t.sex"] == sexes[5:10].tolist()


def test_a_pickle_of_a_wrapped_estimator_is_the_estimator(
    connect: Connect, frame: pd.DataFrame, model: LogisticRegression
) -> None:
    """Connections do not travel; the model does."""
    copy = pickle.loads(pickle.dumps(connect("http://127.0.0.1:9").wrap(model)))
    assert type(copy) is LogisticRegression
    np.testing.assert_array_equal(copy.predict(frame), model.predict(frame))


def test_what_is_changed_after_the_call_is_not_reported(
    server: Server, connect: Connect, frame: pd.DataFrame, model: LogisticRegression
) -> None:
    """A caller may reuse the array."""
    client = connect(server, strict=True, clock=None, flush_interval_s=3_600)
    rows = frame.to_numpy().copy()
    result = client.wrap(model).predict(rows)
    expected = result.tolist()
    rows[:] = result[:] = 0
    assert client.flush()
    came = arrived(server)
    assert came["f.income"] == frame["income"].tolist()
    assert came["label"] == expected


@pytest.mark.parametrize("given", [None, "text", 5, [[1], [2, 3]], np.zeros(3), {"a": object()}])
def test_an_input_that_cannot_be_read_is_counted_and_predicted(
    server: Server, connect: Connect, given: Any
) -> None:
    """Watching must not break what is watched."""

    class Model:
        def predict(self, X: Any) -> Any:
            return ["fine"]

    client = connect(server)
    assert client.wrap(Model(), protected=["none"]).predict(given) == ["fine"]
    assert client.stats().accepted + client.stats().dropped.get("invalid", 0) == 1


def test_an_estimators_own_error_is_the_callers(connect: Connect) -> None:
    """And nothing is reported."""
    client = connect("http://127.0.0.1:9")
    with pytest.raises(AttributeError):
        client.wrap(object()).predict([[1]])
    with pytest.raises(ValueError, match="protected"):
        client.wrap(object(), protected="sex")
    assert client.stats().accepted == 0


def test_a_decorated_function_reports_single_rows_and_lists(server: Server, connect: Connect) -> None:
    """One mapping, a list of them, a method, a coroutine; the result is the function's."""
    client = connect(server, strict=True)

    @client.monitor(protected=["sex"])
    def decide(application: dict[str, Any]) -> dict[str, Any]:
        """Decides."""
        return {"label": application["income"] > 10, "score": 0.5}

    @client.monitor()
    def decide_all(applications: list[dict[str, Any]]) -> list[int]:
        return [one["income"] for one in applications]

    class Service:
        @client.monitor()
        def predict(self, application: dict[str, Any]) -> int:
            return 3

    @client.monitor()
    async def later(application: dict[str, Any]) -> int:
        return 4

    assert decide({"income": 20, "sex": "F"}) == {"label": True, "score": 0.5}
    assert decide.__doc__ == "Decides."
    first = decide.watcher.event_ids
    assert decide_all([{"income": 1}, {"income": 2}]) == [1, 2]
    assert len(decide_all.watcher.event_ids) == 2
    assert Service().predict(application={"income": 5}) == 3
    assert asyncio.run(later({"income": 6})) == 4
    assert client.flush()
    rows = [row for request in server.requests for row in request.body]
    assert rows[0]["event_id"] == first[0]
    assert (rows[0]["features"], rows[0]["demographic_tags"]) == ({"income": 20}, {"sex": "F"})
    assert rows[0]["prediction"] == {"label": True, "score": 0.5}
    assert [row["prediction"]["label"] for row in rows[1:]] == [1, 2, 3, 4]


def test_the_package_imports_neither_numpy_nor_pandas_nor_the_server() -> None:
    """It stands beside models of any kind, and alone."""
    text = f"import sys; sys.path.insert(0, {str(SDK)!r}); import fairlens_sdk"
    # -S: no site-packages, so only the standard library can be found.
    subprocess.run([sys.executable, "-S", "-c", text], check=True)
