"""Predictions that a real model made, handed to the audit: from JSON rows or from a CSV file."""

from dataclasses import replace
from datetime import datetime
from typing import IO, Any

from fairlens_backend import audit_runner, config
from fairlens_backend.audit_runner import Context
from fairlens_backend.errors import InvalidInput
from fairlens_backend.prediction_intake import Intake, Layout, intake_rows
from fairlens_backend.schemas.checks import SubmitRequest
from fairlens_backend.uploaded_files import MAX_EXPANSION, CsvFile

NOT_DECLARED = {"model_name", "version", "rows", "encoding", "delimiter", "features"}


def submit(tenant: str, wanted: SubmitRequest, stream: IO[bytes] | None, now: datetime) -> dict[str, Any]:
    """Audit submitted predictions.

    Parameters
    ----------
    stream : the CSV file, or None when `wanted.rows` has the rows

    Raises
    ------
    InvalidInput, MalformedInput : what is wrong with the rows, the file or the declarations
    """
    asked = wanted.model_dump(exclude=NOT_DECLARED, exclude_none=True)
    subject = audit_runner.settle(tenant, wanted.model_name, wanted.version, asked, registered=False)
    layout = replace(subject.layout(), features=tuple(dict.fromkeys(wanted.features or ())))
    leaked = [name for name in layout.features if name in (layout.decision, layout.truth, layout.score)]
    if leaked:
        raise InvalidInput(
            f"features names {leaked[0]!r}, which is an outcome: people are compared by what is known before it.",
            field="features",
            got=leaked[0],
            expected="columns other than decision, truth and score",
        )
    limit = config.current().max_attribute_groups
    if stream is not None and wanted.rows is not None:
        raise InvalidInput(
            "rows came beside a file; one of the two was expected.",
            field="rows",
            got="both",
            expected="rows or a file",
        )
    if stream is not None:
        intake = _read(stream, wanted, layout, limit)
    elif wanted.rows is not None:
        intake = intake_rows(wanted.rows, layout, limit)
    else:
        raise InvalidInput(
            "rows is missing, and so is a file.", field="rows", got=None, expected="rows or a file"
        )
    table = intake.finish()
    context = Context(remarks=intake.remarks())
    answer = audit_runner.run(subject, table, context, now, sample=intake.sample)
    return {
        **answer,
        "rows_read": intake.rows.read,
        "rows_without_decision": intake.rows.without_decision,
        "rows_undeclared": intake.rows.undeclared.total(),
    }


def _read(stream: IO[bytes], wanted: SubmitRequest, layout: Layout, limit: int) -> Intake:
    most = config.current().max_upload_bytes * MAX_EXPANSION
    file = CsvFile(stream, encoding=wanted.encoding, delimiter=wanted.delimiter, max_bytes=most)
    intake = Intake(layout, limit, features_are_texts=True)
    for piece in file.texts(layout.columns):
        intake.add(piece)
    return intake
