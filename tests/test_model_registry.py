"""Registered models: what is kept, what is refused, and that only registered bytes are ever loaded."""

import hashlib
import io
import pickle
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fairlens_backend import config, model_registry
from fairlens_backend.errors import (
    Conflict,
    FairLensError,
    InvalidInput,
    NotFound,
    TamperedArtefact,
)
from fairlens_backend.model_registry import get_model, list_models, load_model, register_model

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
DECLARATIONS = {
    "columns": {"decision": "approved", "protected": ["gender"]},
    "favourable": {"decision": [1], "truth": [">50K"]},
    "thresholds": {"disparate_impact_ratio": 0.8},
    "metadata": {"owner": "credit", "note": "grüße"},
}
pytestmark = pytest.mark.usefixtures("database")


class TouchesWhenLoaded:
    """A pickle of it runs code: it makes the file `path` when it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def estimator() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression().fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])


def register(name: str = "loan", version: str = "v1", artefact: Any = None, **more: Any) -> dict[str, Any]:
    return register_model(
        name, version, declarations=DECLARATIONS, artefact=artefact, created_by="tests", now=NOW, **more
    )


def files() -> list[str]:
    folder = config.current().models_path
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_what_was_registered_is_given_back() -> None:
    """Declarations come back as given, the digest is SHA-256 of the bytes, the time is UTC text."""
    content = pickle.dumps(estimator())
    made = register(artefact=content)
    assert made == get_model("loan") == get_model("loan", "v1")
    assert made == {
        "name": "loan",
        "version": "v1",
        "declarations": DECLARATIONS,
        "artefact_sha256": hashlib.sha256(content).hexdigest(),
        "created_by": "tests",
        "created_at": "2026-03-01T12:00:00.000000Z",
    }


@pytest.mark.parametrize("kind", ["bytes", "path", "text path", "stream"])
def test_every_kind_of_artefact_loads_as_the_same_model(kind: str, tmp_path: Path) -> None:
    """Bytes, a path and a stream are kept under their digest alone, and the caller's own file is left as it was."""
    content = pickle.dumps(estimator())
    own = tmp_path / "own.pkl"
    own.write_bytes(content)
    given = {"bytes": content, "path": own, "text path": str(own), "stream": io.BytesIO(content)}[kind]
    made = register(artefact=given)
    assert files() == [f"{made['artefact_sha256']}.pkl"]
    assert own.read_bytes() == content
    assert load_model("loan").predict([[0.0], [3.0]]).tolist() == [0, 1]


def test_a_changed_artefact_is_refused_and_its_code_does_not_run(tmp_path: Path) -> None:
    """joblib executes what it loads, so bytes with another digest are not loaded at all."""
    marker = tmp_path / "executed"
    made = register(artefact=pickle.dumps(estimator()))
    file = config.current().models_path / f"{made['artefact_sha256']}.pkl"
    evil = pickle.dumps(TouchesWhenLoaded(marker))
    file.write_bytes(evil)
    with pytest.raises(TamperedArtefact) as refusal:
        load_model("loan")
    assert refusal.value.details["found_sha256"] == hashlib.sha256(evil).hexdigest()
    assert not marker.exists()
    # The marker does work: registered, the same bytes run.
    register(version="evil", artefact=evil)
    with pytest.raises(InvalidInput, match="no predict"):
        load_model("loan", "evil")
    assert marker.exists()


def test_a_changed_artefact_is_refused_also_after_it_was_loaded_once() -> None:
    """The cache spares the unpickling, never the comparison of digests."""
    made = register(artefact=pickle.dumps(estimator()))
    first = load_model("loan")
    assert load_model("loan") is first
    file = config.current().models_path / f"{made['artefact_sha256']}.pkl"
    file.write_bytes(file.read_bytes() + b"\0")
    with pytest.raises(TamperedArtefact):
        load_model("loan")


def test_registering_never_runs_the_artefact(tmp_path: Path) -> None:
    """Bytes are hashed and copied, not loaded."""
    register(artefact=pickle.dumps(TouchesWhenLoaded(tmp_path / "executed")))
    assert not (tmp_path / "executed").exists()


def test_loaded_models_are_kept_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was used longest ago goes first; it is loaded anew when it is wanted again."""
    monkeypatch.setattr(model_registry, "_loaded", type(model_registry._loaded)())
    from sklearn.dummy import DummyClassifier

    for constant in range(6):
        model = DummyClassifier(strategy="constant", constant=constant).fit([[0]] * 6, range(6))
        register(version=str(constant), artefact=pickle.dumps(model))
        load_model("loan", str(constant))
    assert len(model_registry._loaded) == 4
    assert load_model("loan", "0").predict([[0]]).tolist() == [0]


@pytest.mark.parametrize("content", [b"not a pickle", b"PK\x03\x04", pickle.dumps({"a": 1})])
def test_bytes_that_are_no_model_are_named_when_they_are_loaded(content: bytes) -> None:
    """A file of something else is the caller's mistake, said in a sentence, not a crash."""
    register(artefact=content)
    with pytest.raises(InvalidInput, match="artefact of the model loan v1"):
        load_model("loan")


def test_a_missing_file_and_a_missing_artefact_are_told_apart() -> None:
    """Both are NotFound; the sentence says which."""
    made = register(artefact=b"x")
    (config.current().models_path / f"{made['artefact_sha256']}.pkl").unlink()
    with pytest.raises(NotFound, match="its file is missing"):
        load_model("loan")
    register(version="bare")
    with pytest.raises(NotFound, match="without an artefact"):
        load_model("loan", "bare")


@pytest.mark.parametrize(
    "bad",
    ["", " ", "a b", "../etc/passwd", "/etc/passwd", "a/b", "a\\b", ".hidden", "..", "-rf", "a\n", "a\0",
     "x'; DROP TABLE models; --", "ü", "a" * 101, "%2e%2e", None, 7],
)  # fmt: skip
def test_names_and_versions_with_other_characters_are_refused(bad: Any) -> None:
    """A name is 1 to 100 of A-Z a-z 0-9 . _ - and starts with a letter or digit; nothing is written otherwise."""
    with pytest.raises(InvalidInput, match="name is"):
        register(name=bad, artefact=b"x")
    with pytest.raises(InvalidInput, match="version is"):
        register(version=bad, artefact=b"x")
    assert files() == []
    for ask in (get_model, load_model):
        with pytest.raises(NotFound):
            ask(str(bad))
    register(name="known")
    with pytest.raises(NotFound):
        get_model("known", str(bad))


def test_the_longest_and_the_oddest_allowed_name_work() -> None:
    """The rule's edges are inside."""
    for name in ("a" * 100, "0", "A.b-c_d..e"):
        register(name=name, version=name)
        assert get_model(name, name)["name"] == name


def test_a_name_and_version_are_registered_once() -> None:
    """The second is a Conflict, and leaves neither its file nor a change of the first."""
    first = register(artefact=b"one")
    with pytest.raises(Conflict, match="'loan' has a version 'v1' already"):
        register(artefact=b"two")
    assert get_model("loan") == first
    assert files() == [f"{hashlib.sha256(b'one').hexdigest()}.pkl"]


def test_a_registration_is_replaced_only_when_asked() -> None:
    """`replace` puts artefact and declarations in the place of the old ones."""
    register(artefact=b"one")
    register(artefact=b"two", replace=True)
    assert get_model("loan")["artefact_sha256"] == hashlib.sha256(b"two").hexdigest()
    assert len(list_models()["items"]) == 1


def test_two_registrations_at_once_of_one_name_give_one_conflict() -> None:
    """Whatever the order, one is kept and the others are refused."""
    outcomes: list[str] = []
    start = threading.Barrier(4)

    def work(number: int) -> None:
        start.wait()
        try:
            register(artefact=f"content {number}".encode())
            outcomes.append("kept")
        except FairLensError as error:
            outcomes.append(error.code)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["conflict", "conflict", "conflict", "kept"]
    assert files() == [f"{get_model('loan')['artefact_sha256']}.pkl"]


def test_two_models_may_share_an_artefact_and_a_conflict_does_not_take_it_away() -> None:
    """Equal bytes are one file; a refused registration of them leaves it to its owner."""
    content = pickle.dumps(estimator())
    register(artefact=content)
    register(name="other", artefact=content)
    with pytest.raises(Conflict):
        register(name="other", artefact=content)
    assert len(files()) == 1
    assert load_model("loan").predict([[3.0]]).tolist() == [1]


@pytest.mark.parametrize("ask", [get_model, load_model])
def test_another_tenants_model_is_not_found(ask: Callable[..., Any]) -> None:
    """The sentence is that of a name that does not exist at all."""
    register(artefact=pickle.dumps(estimator()), tenant="acme")
    with pytest.raises(NotFound, match="There is no model 'loan'"):
        ask("loan", "v1", tenant="default")
    assert ask("loan", "v1", tenant="acme")
    assert list_models("default") == {"items": [], "next_cursor": None}


def test_the_newest_version_is_the_one_registered_last() -> None:
    """v10 after v9 is newer, whatever their text order; an unknown version is told what there is."""
    register(version="v9")
    register(version="v10")
    assert get_model("loan")["version"] == "v10"
    with pytest.raises(NotFound, match=r"no version 'v8'. There is: v10, v9\."):
        get_model("loan", "v8")


def test_the_list_is_paged_by_cursor() -> None:
    """Following the cursor meets every model once, newest first; also when one is added meanwhile."""
    for number in range(5):
        register(version=f"v{number}")
    page = list_models(limit=2)
    seen = [model["version"] for model in page["items"]]
    register(version="late")
    while page["next_cursor"]:
        page = list_models(limit=2, cursor=page["next_cursor"])
        seen += [model["version"] for model in page["items"]]
    assert seen == ["v4", "v3", "v2", "v1", "v0"]


@pytest.mark.parametrize(
    "limit, cursor", [(0, None), (101, None), (5, "x"), (5, ""), (5, "-1"), (5, "9" * 30)]
)
def test_a_bad_limit_or_cursor_is_refused(limit: int, cursor: str | None) -> None:
    """The error names the field."""
    with pytest.raises(InvalidInput) as refusal:
        list_models(limit=limit, cursor=cursor)
    assert refusal.value.details["field"] == ("limit" if cursor is None else "cursor")


@pytest.mark.parametrize(
    "bad", [[], "x", {"columns": [1]}, {"features": "a,b"}, {"thresholds": {"x": float("nan")}}, {"metadata": {"x": {1}}}]
)  # fmt: skip
def test_declarations_that_json_cannot_hold_are_refused(bad: Any) -> None:
    """NaN, sets and lists where an object belongs never reach the row."""
    with pytest.raises(InvalidInput):
        register_model("loan", "v1", declarations=bad, created_by="tests", now=NOW)
    assert list_models()["items"] == []


def test_a_path_without_a_file_is_named(tmp_path: Path) -> None:
    """Nothing is registered, no draft is left."""
    for missing in (tmp_path / "gone.pkl", str(tmp_path)):
        with pytest.raises(NotFound, match="There is no file"):
            register(artefact=missing)
    assert files() == [] and list_models()["items"] == []
