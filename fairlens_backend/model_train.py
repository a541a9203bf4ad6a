"""Trains a model, measures its fairness on rows it has not seen, saves and registers it.

`python fairlens_backend/model_train.py --samples 5000` makes the demo's loan model; `--csv FILE --target COLUMN
--favourable LABEL --protected COLUMNS --name NAME` makes one of a file of one's own.
"""

import sys
from pathlib import Path

if __name__ == "__main__":
    # Python put this folder first on the path; a room named like a standard module would hide that one.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

import argparse
import json
import os
import shlex
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from fairlens_backend import config, model_registry, telemetry
from fairlens_backend.audit_record import SHORT_METRICS
from fairlens_backend.core.labels import canonical_label, canonical_labels, matching
from fairlens_backend.data_simulator import generate_loan_data
from fairlens_backend.errors import ConfigurationError, Conflict, FairLensError, InvalidInput, NotFound
from fairlens_backend.model_fitting import HELD_OUT_SHARE, Task, Trained, train
from fairlens_backend.storage import migrate
from fairlens_backend.uploaded_files import MAX_EXPANSION, CsvFile

LOAN_FEATURES = ["credit_score", "income", "region"]
_MAX_LISTED = 20


def loan_task(samples: int, seed: int = 42, drift_level: float = 0.0) -> Task:
    """Learn the historic approvals of simulated loans; gender is not a feature."""
    return Task(
        rows=generate_loan_data(samples, drift_level, seed),
        features=LOAN_FEATURES,
        target="approved",
        truth="true_label",
        favourable=[1],
        protected=["gender"],
        source=f"{samples} simulated loans (seed {seed}, drift {drift_level:g})",
        linear=True,  # approvals are decided on a line, so a line is the right model and a small file
        reference_groups={"gender": "Male"},
        declarations={
            "columns": {
                "decision": "approved",
                "truth": "true_label",
                "id": "application_id",
                "protected": ["gender"],
            },
            "use_case": "lending",
            "description": "Demo: approves simulated loans",
        },
    )


def csv_task(wanted: argparse.Namespace) -> Task:
    """Learn a column of a CSV file from the others, as the arguments say.

    Raises NotFound without the file, InvalidInput for a column or label that is not there, naming what there is.
    """
    for option in ("target", "favourable", "protected"):
        if not getattr(wanted, option):
            raise InvalidInput(f"--csv needs --{option}.", field=f"--{option}")
    path = Path(wanted.csv)
    if not path.is_file():
        raise NotFound(f"There is no file {wanted.csv!r}.", path=wanted.csv)
    filters = [_pair(text, "--where") for text in wanted.where]
    protected, dropped = _listed(wanted.protected), _listed(wanted.drop)
    with path.open("rb") as stream:
        limit = config.current().max_upload_bytes * MAX_EXPANSION
        # The reader of the server's uploads, so that a value is the same when the model is trained and when it decides.
        file = CsvFile(stream, encoding=wanted.encoding, delimiter=wanted.delimiter, max_bytes=limit)
        named = [wanted.target, *protected, *(column for column, _ in filters)]
        file.require([*named, *dropped])
        out = {*named, *dropped} - (set(protected) if wanted.use_protected else set())
        features = [name for name in file.header if name and name not in out]
        if not features:
            raise InvalidInput(
                "No column is left to learn from.", field="--drop", expected="at least one feature"
            )
        rows = pd.concat(
            file.values(list(dict.fromkeys([*features, *named])), wanted.missing), ignore_index=True
        )
    for column, value in filters:
        rows = rows[_is_one_of(rows[column], [value], f"--where {column}")]
    known = rows[rows[wanted.target].notna()]
    _is_one_of(known[wanted.target], wanted.favourable, "--favourable")
    references = dict(_pair(text, "--reference") for text in wanted.reference)
    for column, group in references.items():
        if column not in protected:
            raise InvalidInput(f"--reference names {column!r}, which is not among --protected {protected}.")
        _is_one_of(known[column], [group], f"--reference {column}")
    where = " and ".join(f"{column} = {value}" for column, value in filters)
    return Task(
        rows=known.reset_index(drop=True),
        features=features,
        target=wanted.target,
        truth=wanted.target,
        favourable=wanted.favourable,
        protected=protected,
        source=f"{len(known)} rows of {path.name}" + (f" where {where}" if where else ""),
        reference_groups=references,
        declarations={
            "columns": {"truth": wanted.target, "protected": protected},
            "missing_values": wanted.missing,
        },
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Train as the arguments say; 0 when it went well, 1 with a sentence on standard error when not."""
    wanted = _parser().parse_args(arguments)
    try:
        _run(wanted)
    except FairLensError as error:
        sys.stderr.write(f"model_train: {error.message}\n")
        return 1
    return 0


def _run(wanted: argparse.Namespace) -> None:
    name = wanted.name or ("" if wanted.csv else "loan_model")
    if not name:
        raise InvalidInput("--csv needs --name, the name that the model is registered under.", field="--name")
    model_registry.check_name("--name", name)
    model_registry.check_name("--version", wanted.version)
    task = csv_task(wanted) if wanted.csv else loan_task(wanted.samples, wanted.seed, wanted.drift)
    trained = train(task, wanted.seed)
    declarations = _declarations(task, trained)
    out = Path(wanted.out) if wanted.out else config.current().models_path / f"{name}_{wanted.version}.pkl"
    # Before the file is written: a refusal leaves it as it was.
    registered = _registered(name, wanted, trained, declarations) if wanted.register else None
    _write(out, trained.content)
    _say(_summary(f"{name} {wanted.version}", task, trained))
    _say(f"Saved {out} ({len(trained.content) / 1000:.0f} kB, SHA-256 {trained.sha256[:16]}…).")
    if not wanted.register:
        _say("Register it with an administrator's token in $TOKEN:")
        _say(_curl(out, {"model_name": name, "version": wanted.version, **declarations}))
        return
    model_registry.register_model(
        name,
        wanted.version,
        tenant=wanted.tenant,
        declarations=declarations,
        artefact=trained.content,
        created_by="model_train",
        now=telemetry.utc_now(),
        replace=registered is not None,
    )
    done = {None: "Registered", True: "Was registered already with this very artefact:", False: "Replaced"}
    _say(f"{done[registered]} {name} {wanted.version} (tenant {wanted.tenant}).")


def _registered(
    name: str, wanted: argparse.Namespace, trained: Trained, declarations: dict[str, Any]
) -> bool | None:
    """None when the name and version are free, True when they hold the same already, False when they may be replaced."""
    _migrate()
    try:
        there = model_registry.get_model(name, wanted.version, tenant=wanted.tenant)
    except NotFound:
        return None
    same: bool = (there["artefact_sha256"], there["declarations"]) == (trained.sha256, declarations)
    if not same and not wanted.replace:
        raise Conflict(
            f"{name} {wanted.version} is registered already, with another artefact or other declarations. Choose another "
            "--version, or put this one in its place with --replace. Nothing was written."
        )
    return same


def _declarations(task: Task, trained: Trained) -> dict[str, Any]:
    declared = {
        **task.declarations,
        "favourable": {"decision": task.favourable, "truth": task.favourable},
        "features": task.features,
        "reference_groups": task.reference_groups,
        "metadata": {
            "trained_on": task.source,
            "rows_fitted": trained.rows_fitted,
            "rows_held_out": trained.rows_held_out,
            "accuracy": round(trained.accuracy, 4),
        },
    }
    return {key: value for key, value in declared.items() if value}


def _migrate() -> None:
    if not migrate.is_at_head():
        if config.current().production:
            raise ConfigurationError("The database is not at the newest schema. Run: alembic upgrade head")
        migrate.upgrade()


def _write(out: Path, content: bytes) -> None:
    """All of the file or none of it."""
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(content)
        draft.replace(out)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise InvalidInput(f"--out {out} cannot be written ({error.strerror}).", field="--out") from error


def _summary(label: str, task: Task, trained: Trained) -> str:
    lines = [
        f"Trained {label} on {trained.rows_fitted} of {task.source}; {trained.rows_held_out} rows "
        f"({HELD_OUT_SHARE:.0%}) were held out, and all figures below are theirs.",
        f"  features    {', '.join(task.features)}",
        f"  accuracy    {trained.accuracy:.4f}",
    ]
    for attribute, measured in trained.fairness.items():
        known = {short: measured[short] for short in SHORT_METRICS}
        figures = "  ".join(
            f"{short} undefined" if value is None else f"{short} {value:.3f}"
            for short, value in known.items()
        )
        lines += [f"  {attribute:<11} {figures}", f"  {'':<11} {measured['message']}"]
    return "\n".join(lines)


def _curl(out: Path, request: dict[str, Any]) -> str:
    # curl would take a semicolon for the end of the value; in JSON it may be escaped.
    text = json.dumps(request).replace(";", "\\u003b")
    parts = (f'artefact=@"{out}"', f"request={text};type=application/json")
    url = f"http://127.0.0.1:{config.current().port}/api/models/register"
    forms = " ".join(f"-F {shlex.quote(part)}" for part in parts)
    return f'curl -X POST {url} -H "Authorization: Bearer $TOKEN" {forms}'


def _is_one_of(column: pd.Series, wanted: Sequence[Any], option: str) -> npt.NDArray[np.bool_]:
    """Which rows have one of the labels; each label must occur."""
    codes, labels = canonical_labels(column)
    for label in wanted:
        if canonical_label(label) not in labels:
            there = sorted(labels)[:_MAX_LISTED]
            raise InvalidInput(
                f"{option} is {label!r}, which does not occur in column {column.name!r}; there are {there}.",
                field=option,
                got=label,
                expected=f"one of {there}",
            )
    # The last place is for the missing (-1 indexes it).
    return np.append(matching(labels, wanted), False)[codes]


def _listed(texts: Sequence[str]) -> list[str]:
    names = [name.strip() for text in texts for name in text.split(",")]
    return list(dict.fromkeys(filter(None, names)))


def _pair(text: str, option: str) -> tuple[str, str]:
    column, equals, value = text.partition("=")
    if not equals or not column:
        raise InvalidInput(f"{option} is {text!r}, COLUMN=VALUE was expected.", field=option, got=text)
    return column, value


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="model_train", description=__doc__)
    add, group = parser.add_argument, parser.add_argument_group("a file of your own")
    add("--samples", type=int, default=5000, help="simulated loans to learn from (demo)")
    add("--drift", type=float, default=0.0, help="drift of the simulated loans, 0 to 1 (demo)")
    add("--seed", type=int, default=42, help="of the simulation, the held-out rows and the fit")
    add("--name", help="name to register under (demo: loan_model)")
    add("--version", default="v1", help="version to register under")
    add("--tenant", default="default", help="tenant that the model belongs to")
    add("--out", help="file to write (default: NAME_VERSION.pkl in MODELS_DIR)")
    add("--replace", action="store_true", help="put it in the place of a registration that differs")
    add("--no-register", dest="register", action="store_false", help="print the call that registers the file")
    own = group.add_argument
    own("--csv", help="CSV file with a header, gzip allowed")
    own("--target", help="column to learn")
    own("--favourable", action="append", default=[], help="favourable label of the target; may be repeated")
    own("--protected", action="append", default=[], help="protected columns, separated by commas")
    own("--use-protected", action="store_true", help="also learn from the protected columns")
    own("--drop", action="append", default=[], help="columns not to learn from, separated by commas")
    own("--where", action="append", default=[], metavar="COLUMN=VALUE", help="only these rows")
    own("--reference", action="append", default=[], metavar="COLUMN=GROUP", help="reference group")
    own("--missing", action="append", default=[], help='what marks a missing value, such as "?"')
    own("--encoding", default="utf-8", choices=("utf-8", "latin-1", "cp1252", "utf-16"))
    own("--delimiter", default=",", choices=(",", ";", "\t", "|"))
    return parser


if __name__ == "__main__":
    sys.exit(main())
