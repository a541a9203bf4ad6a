"""One line beside a predict function or an estimator. Neither scikit-learn nor pandas nor numpy is imported."""

from __future__ import annotations

import functools
import inspect
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from fairlens_sdk._wire import Block

if TYPE_CHECKING:
    from fairlens_sdk.client import FairLensClient

BLOCK_ROWS = 5_000
OBJECT_BYTES = 80  # a Python value in a list or an object array, its pointer included
Function = TypeVar("Function", bound=Callable[..., Any])
Tags = Callable[[Any], Mapping[str, Any]]


class Watcher:
    """Reads rows out of what a model was given.

    Parameters
    ----------
    client : where they are reported
    protected : names (or, for arrays, positions) of columns that are protected attributes: they are sent as
        demographic tags and not as features
    tags : called with the model's input, for protected attributes that the model does not see; returns a mapping,
        for many rows one of columns
    threshold : from which score on the positive class is predicted, where the score decides
    with_score : `predict` also calls `predict_proba`, at its cost, so that scores are known
    feature_names : of the columns of an array; default x0, x1, …, or what the estimator was fitted with
    """

    def __init__(
        self,
        client: FairLensClient,
        protected: Sequence[Any] = (),
        *,
        tags: Tags | None = None,
        threshold: float | None = None,
        with_score: bool = False,
        feature_names: Sequence[str] | None = None,
    ) -> None:
        if isinstance(protected, str):
            raise ValueError(f"protected: a list of names, got the text {protected!r}")
        self.client, self.protected = client, tuple(protected)
        self.tags, self.threshold, self.with_score = tags, threshold, with_score
        self.feature_names = feature_names
        self._local = threading.local()

    @property
    def event_ids(self) -> list[str]:
        """Ids of the rows that this thread reported last, in order, for `log_ground_truth`."""
        ids: list[str] = []
        for one in getattr(self._local, "last", ()):
            ids += one.event_ids() if isinstance(one, Block) else [one]
        return ids

    def observe(self, given: Any, predicted: Any, score: Any = None) -> None:
        """Report the rows of `given` with the decisions `predicted`; never raises unless the client is strict."""
        client = self.client
        if client._disabled:
            self._local.last = ()
            return
        try:
            if isinstance(given, Mapping):
                self._one(given, predicted)
            else:
                self._many(given, predicted, score)
        except Exception:  # broad: watching must not break what is watched
            client._engine.counters.drop("invalid")
            if client._strict:
                raise

    def _one(self, given: Mapping[str, Any], predicted: Any) -> None:
        tags = {name: given[name] for name in self.protected if name in given}
        features = {name: value for name, value in given.items() if name not in tags}
        if self.tags is not None:
            tags.update(self.tags(given))
        self._local.last = (self.client.log_prediction(features, predicted, demographic_tags=tags),)

    def _many(self, given: Any, predicted: Any, score: Any) -> None:
        if isinstance(given, Sequence) and given and isinstance(given[0], Mapping):
            ids: list[str] = []
            for row, decision in zip(given, predicted):
                self._one(row, decision)
                ids += self._local.last
            self._local.last = ids
            return
        columns = _columns(given, self.feature_names)
        tags: dict[str, Any] = {}
        names = list(columns)
        for one in self.protected:
            name = names[one] if isinstance(one, int) else str(one)
            tags[name] = columns[name]
        if self.tags is not None:
            tags.update({str(name): _owned(values) for name, values in self.tags(given).items()})
        features = {name: values for name, values in columns.items() if name not in tags}
        self._blocks(_owned(predicted), score, features, tags)

    def _blocks(self, label: Any, score: Any, features: dict[str, Any], tags: dict[str, Any]) -> None:
        n = len(label)
        for name, values in [*features.items(), *tags.items()]:
            if len(values) != n:
                raise ValueError(f"{name}: {len(values)} values, {n} predictions")
        client, blocks = self.client, []
        for start in range(0, n, BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            block = Block(
                client._time_ns(),
                client._random_bits(62),
                min(BLOCK_ROWS, n - start),
                label[part],
                None if score is None else score[part],
                self.threshold,
                {name: values[part] for name, values in features.items()},
                {name: values[part] for name, values in tags.items()},
            )
            weight = sum(
                map(_weight, [block.label, block.score, *block.columns.values(), *block.tags.values()])
            )
            client._accept_block(block, weight)
            blocks.append(block)
        self._local.last = tuple(blocks)

    def seen_by_other(self, given: Any, method: str) -> bool:
        """Whether this thread's last report was of the same object by the other method: one decision, asked twice."""
        last = getattr(self._local, "seen", None)
        self._local.seen = None
        if last is not None and last[0]() is given and last[1] != method:
            return True
        try:
            self._local.seen = (weakref.ref(given), method)
        except TypeError:  # a list has no weak references: it is reported twice
            self._local.seen = None
        return False


class MonitoredEstimator:
    """Stands in for an estimator: every attribute is the estimator's, results go through untouched.

    `predict` reports decisions, `predict_proba` scores and the decisions that follow from them. A frame given to both,
    one after the other, is reported once, by the first.
    """

    def __init__(self, estimator: Any, watcher: Watcher) -> None:
        self._estimator, self._watcher = estimator, watcher

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") or name in {"_estimator", "_watcher"}:
            raise AttributeError(name)
        return getattr(self._estimator, name)

    def __reduce__(self) -> tuple[Any, ...]:
        # A copy, and what a file or another process gets, is the bare estimator: a client belongs to its process.
        return _itself, (self._estimator,)

    @property
    def event_ids(self) -> list[str]:
        """Ids of the rows that this thread reported last, in order."""
        return self._watcher.event_ids

    def predict(self, X: Any, *args: Any, **kwargs: Any) -> Any:
        """The estimator's predictions."""
        predicted = self._estimator.predict(X, *args, **kwargs)
        if not self._watcher.seen_by_other(X, "predict"):
            score = None
            if self._watcher.with_score:
                score = _Probabilities(self._estimator.predict_proba(X), (), None).positive()
            self._named(X, predicted, score)
        return predicted

    def predict_proba(self, X: Any, *args: Any, **kwargs: Any) -> Any:
        """The estimator's probabilities."""
        found = self._estimator.predict_proba(X, *args, **kwargs)
        if not self._watcher.seen_by_other(X, "predict_proba"):
            classes = getattr(self._estimator, "classes_", ())
            both = _Probabilities(found, classes, self._watcher.threshold)
            self._named(X, both, both.positive())
        return found

    def _named(self, X: Any, predicted: Any, score: Any) -> None:
        watcher = self._watcher
        if watcher.feature_names is None:
            watcher.feature_names = getattr(self._estimator, "feature_names_in_", None)
        watcher.observe(X, predicted, score)


def _itself(estimator: Any) -> Any:
    return estimator


class _Probabilities:
    """Decisions that follow from probabilities; computed by `tolist`, in the background."""

    def __init__(self, found: Any, classes: Any, threshold: float | None) -> None:
        self._found = _owned(found)
        self._classes, self._threshold = classes, threshold

    def __len__(self) -> int:
        return len(self._found)

    def __getitem__(self, part: slice) -> _Probabilities:
        return _Probabilities(self._found[part], self._classes, self._threshold)

    def positive(self) -> Any:
        """Of two classes the second's column; of more, the largest of each row."""
        if len(self._found) and len(self._found[0]) == 2 and hasattr(self._found, "shape"):
            return self._found[:, 1]
        return [max(row) for row in self._found]

    def tolist(self) -> list[Any]:
        """The class of each row."""
        classes = self._classes.tolist() if hasattr(self._classes, "tolist") else list(self._classes)
        rows = self._found.tolist() if hasattr(self._found, "tolist") else self._found
        decided = []
        for row in rows:
            if len(row) == 2 and self._threshold is not None:
                index = int(row[1] >= self._threshold)
            else:
                index = max(range(len(row)), key=row.__getitem__)
            decided.append(classes[index] if index < len(classes) else index)
        return decided


def monitor(client: FairLensClient, **options: Any) -> Callable[[Function], Function]:
    """See `FairLensClient.monitor`."""
    watcher = Watcher(client, **options)

    def decorate(function: Function) -> Function:
        names = list(inspect.signature(function).parameters)
        position = 1 if names[:1] in (["self"], ["cls"]) else 0

        def given(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
            return args[position] if len(args) > position else kwargs.get(names[position])

        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def awaited(*args: Any, **kwargs: Any) -> Any:
                result = await function(*args, **kwargs)
                watcher.observe(given(args, kwargs), result)
                return result

            called: Any = awaited
        else:

            @functools.wraps(function)
            def plain(*args: Any, **kwargs: Any) -> Any:
                result = function(*args, **kwargs)
                watcher.observe(given(args, kwargs), result)
                return result

            called = plain
        called.watcher = watcher
        return called  # type: ignore[no-any-return]

    return decorate


def _columns(given: Any, names: Sequence[str] | None) -> dict[str, Any]:
    """Columns of a frame, a two-dimensional array or a list of rows, as copies."""
    listed = getattr(given, "columns", None)
    if listed is not None and hasattr(given, "__getitem__"):
        return {str(name): _owned(given[name]) for name in listed}
    if hasattr(given, "shape"):
        mine = _owned(given)
        columns: list[Any] = [mine[:, j] for j in range(given.shape[1])]
    else:
        columns = [list(column) for column in zip(*given)]
    if names is None or len(names) != len(columns):
        names = [f"x{j}" for j in range(len(columns))]
    return {str(name): column for name, column in zip(names, columns)}


def _owned(values: Any) -> Any:
    """A copy that the caller's later changes do not reach."""
    if isinstance(values, _Probabilities):
        return values
    to_numpy = getattr(values, "to_numpy", None)
    if to_numpy is not None:
        try:
            return to_numpy(copy=True)
        except TypeError:  # other frames than pandas'
            return list(values)
    copy = getattr(values, "copy", None)
    return copy() if copy is not None and hasattr(values, "shape") else list(values)


def _weight(values: Any) -> int:
    if values is None:
        return 0
    size = getattr(values, "nbytes", None)
    kind = getattr(getattr(values, "dtype", None), "kind", "O")
    return int(size) if size is not None and kind != "O" else OBJECT_BYTES * len(values)
