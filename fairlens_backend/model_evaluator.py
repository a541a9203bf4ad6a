"""Score a data set with a registered model, simulated or uploaded, and hand its decisions to the audit."""

import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import IO, Any

import pandas as pd

from fairlens_backend import audit_runner, config, model_registry
from fairlens_backend.audit_runner import Context, Subject
from fairlens_backend.core.counts import CountTable
from fairlens_backend.core.row_sample import RowSample
from fairlens_backend.data_simulator import generate_loan_data
from fairlens_backend.errors import InvalidInput
from fairlens_backend.fairness_metrics import compute_all_metrics
from fairlens_backend.model_scorer import score
from fairlens_backend.prediction_intake import Intake, Layout
from fairlens_backend.schemas.checks import MAX_FEATURES, DemoQuery, EvaluateRequest
from fairlens_backend.security_utils import anonymize_df
from fairlens_backend.uploaded_files import MAX_EXPANSION, CsvFile

SHOWN_PREDICTIONS = 100
DEMO_DRIFT = {"fair": 0.0, "drifted": 0.4}
DECISION_COLUMN = "__decision__"
SCORE_COLUMN = "__score__"
DEMO_COLUMNS = {"truth": "true_label", "id": "application_id", "protected": ["gender"]}


@dataclass
class Scored:
    """A data set after the model decided: its counts, the first predictions, what to say about it."""

    table: CountTable
    first: list[dict[str, Any]]
    count: int
    remarks: list[str]
    sample: RowSample | None
    decide: Callable[[pd.DataFrame], Any]
    """the model's decisions on rows of its features, 0 or 1 each"""


def demonstrate(wanted: DemoQuery) -> dict[str, Any]:
    """The metrics of simulated loans; no model, no record."""
    drift_level = DEMO_DRIFT[wanted.scenario]
    frame = generate_loan_data(wanted.n_samples, drift_level, wanted.seed)
    metrics = compute_all_metrics(frame, protected="gender", privileged="Male", unprivileged="Female")
    return {
        "scenario": wanted.scenario,
        "n_samples": wanted.n_samples,
        "drift_level": drift_level,
        "seed": wanted.seed,
        "simulated": True,
        "stored": False,
        **metrics,
    }


def evaluate_simulated(tenant: str, wanted: EvaluateRequest, now: datetime) -> dict[str, Any]:
    """Audit the model's decisions on simulated loans.

    Raises
    ------
    NotFound : no such model; InvalidInput : the model does not take the simulator's columns
    """
    subject = _subject(tenant, wanted)
    seed = wanted.seed if wanted.seed is not None else secrets.randbelow(2**32)
    frame = generate_loan_data(wanted.n_samples, wanted.drift_level, seed)
    scored = _score(subject, iter([frame]), frame.columns.tolist())
    answer = _audit(subject, scored, Context(wanted.drift_level, scored.remarks), now, wanted.row_metrics)
    return {**answer, "mode": "demo", "drift_level": wanted.drift_level, "seed": seed, "simulated": True}


def evaluate_file(tenant: str, wanted: EvaluateRequest, stream: IO[bytes], now: datetime) -> dict[str, Any]:
    """Audit the model's decisions on an uploaded CSV.

    Raises
    ------
    NotFound : no such model
    InvalidInput, MalformedInput : a column is missing, the file is no CSV, the model cannot score it
    """
    subject = _subject(tenant, wanted)
    file = CsvFile(
        stream,
        encoding=wanted.encoding,
        delimiter=wanted.delimiter,
        max_bytes=config.current().max_upload_bytes * MAX_EXPANSION,
    )
    layout = _layout(subject)
    features = _features(subject, file.header, layout)
    needed = list(dict.fromkeys([*features, *(name for name in layout.columns if name != DECISION_COLUMN)]))
    needed = [name for name in needed if name != SCORE_COLUMN]
    scored = _score(subject, file.values(needed, layout.missing_values), file.header)
    answer = _audit(subject, scored, Context(None, scored.remarks), now, wanted.row_metrics)
    return {**answer, "mode": "prod", "simulated": False}


def _subject(tenant: str, wanted: EvaluateRequest) -> Subject:
    asked = wanted.model_dump(
        include={*type(wanted).model_fields}
        - {"model_name", "version", "mode", "n_samples", "drift_level", "seed", "row_metrics"},
        exclude_none=True,
    )
    return audit_runner.settle(tenant, wanted.model_name, wanted.version, asked, registered=True)


def _layout(subject: Subject) -> Layout:
    """The registered layout, with the model's own prediction as the decision and the score."""
    declared = subject.layout(decision=DECISION_COLUMN)
    return Layout(
        decision=DECISION_COLUMN,
        protected=declared.protected,
        favourable=(1,),
        truth=declared.truth,
        truth_favourable=declared.truth_labels[0],
        truth_unfavourable=declared.truth_labels[1],
        score=SCORE_COLUMN,
        id=declared.id,
        missing_values=declared.missing_values,
        definitions=declared.definitions,
        unfavourable=(0,) if declared.unfavourable else None,
    )


def _features(subject: Subject, header: list[str], layout: Layout) -> list[str]:
    """The model's input columns: as registered, else as the model names them, else all but the outcome and the id."""
    named = subject.declared.get("features")
    if named:
        return list(named)
    model = model_registry.load_model(subject.model, subject.version, tenant=subject.tenant)
    own = getattr(model, "feature_names_in_", None)
    if own is not None:
        return [str(name) for name in own]
    return [name for name in header if name not in (layout.truth, layout.id)]


def _score(subject: Subject, pieces: Iterator[pd.DataFrame], header: list[str]) -> Scored:
    layout = _layout(subject)
    model = model_registry.load_model(subject.model, subject.version, tenant=subject.tenant)
    features = _features(subject, header, layout)
    declared = subject.layout(decision=DECISION_COLUMN)
    favourable = declared.favourable
    compared = tuple(dict.fromkeys(features)) if len(features) <= MAX_FEATURES else ()
    layout = replace(layout, features=tuple(name for name in compared if name != layout.truth))
    intake = Intake(layout, config.current().max_attribute_groups)
    first: list[dict[str, Any]] = []
    for piece in pieces:
        decision, scores = score(model, piece, features, favourable, declared.unfavourable)
        absent = [
            name
            for name in (layout.truth, layout.id, *layout.protected)
            if name and name not in piece.columns
        ]
        if absent:
            raise InvalidInput(
                f"The data has no column {absent[0]!r}; there are {list(piece.columns)}.",
                field="columns",
                got=absent[0],
                expected=str(list(piece.columns)),
            )
        decided = piece.assign(
            **{DECISION_COLUMN: decision, SCORE_COLUMN: float("nan") if scores is None else scores}
        )
        intake.add(decided[layout.columns])
        if len(first) < SHOWN_PREDICTIONS:
            first += _shown(decided, layout, SHOWN_PREDICTIONS - len(first))
    return Scored(
        intake.finish(),
        first,
        intake.rows_read,
        intake.remarks(),
        intake.sample,
        lambda rows: score(model, rows, features, favourable)[0],
    )


def _shown(decided: pd.DataFrame, layout: Layout, most: int) -> list[dict[str, Any]]:
    """The first predictions with their hashed id: no feature and no protected attribute of a person."""
    shown = decided.head(most)
    decisions = [
        None if one < 0 else int(one) for one in shown[DECISION_COLUMN]
    ]  # of a class that is not declared
    columns = {"decision": pd.Series(decisions, shown.index, dtype=object), "score": shown[SCORE_COLUMN]}
    if layout.id is not None:
        hashed = anonymize_df(shown[[layout.id]].astype(str), cols=[layout.id])
        columns = {"id": hashed[layout.id], **columns}
    records = pd.DataFrame(columns).to_dict("records")
    return [
        {
            str(name): None if isinstance(value, float) and value != value else value
            for name, value in record.items()
        }
        for record in records
    ]


def _audit(
    subject: Subject, scored: Scored, context: Context, now: datetime, row_metrics: bool
) -> dict[str, Any]:
    answer = audit_runner.run(
        subject,
        scored.table,
        context,
        now,
        sample=scored.sample,
        model=scored.decide,
        # A model that is good at its task has steep scores, which metric 9 takes for unlike treatment: it is asked for.
        interventions_only=not row_metrics,
    )
    return {**answer, "predictions": scored.first, "predictions_count": scored.count}
