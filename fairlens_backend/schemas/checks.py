"""What a check of a model is asked with: declarations of columns, evaluations, submissions, trends."""

import json
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, field_validator, model_validator

from fairlens_backend.core.group_definitions import parse_groups
from fairlens_backend.core.label_words import label_digest
from fairlens_backend.schemas._base import NAME_PATTERN, NO_NUL, Body, Cursor, Label, Limit, PageQuery, Query

MAX_EVALUATED_ROWS = 200_000
MAX_FEATURES = 100  # of metrics on rows; a distance between two people costs as much as they have features
MAX_DEMO_ROWS = 20_000
MAX_CHECKS = 1000
MAX_METADATA_CHARACTERS = 65_536
MAX_METADATA_DEPTH = 20

# Shown where the document is browsed, and sent by whoever presses "Try it out".
REGISTER_EXAMPLE: dict[str, Any] = {
    "model_name": "hiring",
    "version": "v1",
    "columns": {"decision": "hired", "truth": "stayed", "protected": ["sex"]},
    "favourable": {"decision": ["yes"], "truth": ["yes"]},
    "reference_groups": {"sex": "male"},
}
SUBMIT_EXAMPLE: dict[str, Any] = {
    "model_name": "hiring",
    "columns": {"decision": "hired", "truth": "stayed", "protected": ["sex"]},
    "favourable": {"decision": ["yes"], "truth": ["yes"]},
    "rows": [
        {"hired": "yes", "stayed": "yes", "sex": "male"},
        {"hired": "no", "stayed": "yes", "sex": "female"},
    ],
}
EVALUATE_EXAMPLE: dict[str, Any] = {
    "model_name": "loan_model",
    "n_samples": 1000,
    "drift_level": 0.4,
    "columns": {"protected": ["gender", "region"]},
}

ColumnName = Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)]
ModelName = Annotated[str, Field(pattern=NAME_PATTERN, description="letters, digits, . _ -")]
# Beyond 2^53 a number is not the same in every JSON reader, and a record must be.
GroupSize = Annotated[int, Field(ge=1, le=10**12)]
ShortMetric = Literal["dir", "spd", "eod", "aod", "theil"]


class Columns(Body):
    """Which column holds what. Columns that are not named are neither read nor kept."""

    decision: ColumnName | None = Field(None, description="the model's decision")
    truth: ColumnName | None = Field(None, description="the true outcome; empty where it is not known yet")
    score: ColumnName | None = Field(None, description="the score of the favourable decision, 0 to 1")
    id: ColumnName | None = Field(None, description="an identifier; only counted, and shown hashed")
    protected: list[ColumnName] = Field(
        default_factory=list, max_length=10, description="protected attributes: sex, race, age band, …"
    )


class Favourable(Body):
    """Which labels are the favourable ones: approved, hired, released, Low risk."""

    decision: list[Label] = Field(min_length=1, max_length=100)
    truth: list[Label] | None = Field(None, min_length=1, max_length=100)


class Unfavourable(Body):
    """Which labels are the other ones, where those that there are can be named."""

    decision: list[Label] | None = Field(None, min_length=1, max_length=100)
    truth: list[Label] | None = Field(None, min_length=1, max_length=100)


class PolicySettings(Body):
    """The limits that a model's owner sets; what is left out keeps its default."""

    thresholds: dict[str, float] | None = Field(
        None, max_length=50, description="threshold by the metric's name"
    )
    alpha: Annotated[float, Field(gt=0, lt=1)] | None = None
    correction: Literal["bh", "holm", "none"] | None = None
    min_group_size: GroupSize | None = None
    min_sample_size: GroupSize | None = None


class Declarations(PolicySettings):
    """What a model declares once, so that its submissions need not repeat it."""

    columns: Columns | None = None
    favourable: Favourable | None = None
    unfavourable: Unfavourable | None = Field(
        None,
        description="the labels that are not favourable. With them declared a row with any other label is not counted, and the answer"
        " says how many; a single event with one is set aside, and a late label that is any other is not joined; left out: every other"
        " label counts as unfavourable, of single events with a warning where it is not a customary opposite of a favourable one",
    )
    reference_groups: dict[ColumnName, Label] | None = Field(
        None, max_length=20, description="the privileged group of each attribute"
    )
    missing_values: list[Label] | None = Field(
        None, max_length=20, description='what marks a missing value, such as "?"'
    )
    group_definitions: dict[ColumnName, dict[str, Any]] | None = Field(
        None,
        max_length=20,
        description="which values of a protected attribute make one group: values, sets, bands, ranges, else; without one"
        ' each value is its own. {"age": {"bands": [30, 50]}, "race": {"sets": {"White": ["White", "Caucasian"]}, "else":'
        ' "Other"}}',
    )

    @field_validator("group_definitions")
    @classmethod
    def check_groups(cls, given: dict[str, Any] | None) -> dict[str, Any] | None:
        """Refuse definitions that cannot be read, with the place in them."""
        parse_groups(given or {}, "group_definitions")
        return given

    @model_validator(mode="after")
    def check_classes(self) -> Self:
        """Refuse a label that is favourable and unfavourable."""
        for part in ("decision", "truth"):
            mine = getattr(self.favourable, part, None) or getattr(self.favourable, "decision", None) or []
            other = getattr(self.unfavourable, part, None) or []
            both = {label_digest(one) for one in mine} & {label_digest(one) for one in other}
            if both:
                raise ValueError(f"must not name a label in favourable.{part} and in unfavourable.{part}")
        return self


class FileFormat(Body):
    """How an uploaded CSV is written."""

    encoding: Literal["utf-8", "latin-1", "cp1252", "utf-16"] = "utf-8"
    delimiter: Literal[",", ";", "\t", "|"] = ","


class SubmitRequest(Declarations, FileFormat):
    """Predictions of a real model: `rows` here, or a CSV file in the part beside this one."""

    model_config = ConfigDict(json_schema_extra={"examples": [SUBMIT_EXAMPLE]})

    model_name: ModelName
    version: ModelName | None = Field(
        None, description="left out: the newest registered version, or `unversioned`"
    )
    rows: list[dict[str, Any]] | None = Field(None, description="one object a decision, keyed by column")
    features: list[ColumnName] | None = Field(
        None,
        min_length=1,
        max_length=MAX_FEATURES,
        description="columns by which people are compared in metrics 9, 10 and 17; none of them is kept",
    )


class EvaluateRequest(Declarations, FileFormat):
    """Score a data set with a registered model and audit its decisions."""

    model_config = ConfigDict(json_schema_extra={"examples": [EVALUATE_EXAMPLE]})

    model_name: ModelName = "loan_model"
    version: ModelName | None = Field(None, description="left out: the newest registered version")
    mode: Literal["demo", "prod"] = Field(
        "demo", description="demo: simulated loans; prod: the uploaded file"
    )
    n_samples: Annotated[int, Field(ge=1, le=MAX_EVALUATED_ROWS)] = Field(
        1000, description="demo: rows to simulate"
    )
    drift_level: Annotated[float, Field(ge=0, le=1)] = Field(
        0.0, description="demo: 0 is parity, 1 the strongest"
    )
    row_metrics: bool = Field(
        False,
        description="also compare people by the model's features: metrics 9, 17, and 10 for attributes it does not take",
    )
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] | None = Field(
        None, description="demo: left out, a new one is drawn and told"
    )


class RegisterRequest(Declarations):
    """A model and what it declares."""

    model_config = ConfigDict(json_schema_extra={"examples": [REGISTER_EXAMPLE]})

    model_name: ModelName
    version: ModelName = "v1"
    features: list[ColumnName] | None = Field(
        None, min_length=1, max_length=2000, description="input columns, in order"
    )
    use_case: (
        Literal["hiring", "lending", "healthcare", "criminal_justice", "content_recommendation"] | None
    ) = None
    description: Annotated[str, Field(max_length=2000)] | None = None
    normalise_groups: bool | None = Field(
        None,
        description="single decisions: words and codes of sex, race and age are brought to groups, spelled as the reference"
        " group is; left out: yes. false: values are groups as they come",
    )
    sex_codes: Literal["iso_5218"] | None = Field(
        None, description="single decisions: 0, 1, 2 and 9 are not known, male, female and not applicable"
    )
    store_features: bool | None = Field(
        None,
        description="single decisions: whether features and tags are kept, personal data as tokens; left out: yes",
    )
    metadata: dict[str, Any] | None = Field(
        None, description="whatever else the owner wants to keep beside it, up to 65,536 characters as JSON"
    )

    @field_validator("metadata")
    @classmethod
    def check_metadata(cls, metadata: dict[str, Any] | None) -> dict[str, Any] | None:
        """Refuse what would make every list of models large, or what is nested beyond reading."""
        level: list[Any] = [metadata]
        for _ in range(MAX_METADATA_DEPTH):
            nested = [value for value in level if isinstance(value, (dict, list))]
            level = [
                inner for value in nested for inner in (value.values() if isinstance(value, dict) else value)
            ]
        if level:
            raise ValueError(f"is nested more than {MAX_METADATA_DEPTH} deep")
        if len(json.dumps(metadata)) > MAX_METADATA_CHARACTERS:
            raise ValueError(f"has more than {MAX_METADATA_CHARACTERS} characters as JSON")
        return metadata


class DemoQuery(Query):
    """A demonstration on simulated loans; nothing is stored."""

    scenario: Literal["fair", "drifted"] = "fair"
    n_samples: Annotated[int, Field(ge=1, le=MAX_DEMO_ROWS)] = 1000
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 42


class TrendQuery(Query):
    """A look back over the last checks."""

    metric: ShortMetric = "dir"
    model: ModelName | None = None
    window: Annotated[int, Field(ge=2, le=MAX_CHECKS)] = 10


class PreAlertQuery(TrendQuery):
    """Is the average about to pass the threshold?"""

    threshold: Annotated[float, Field(ge=0, le=10)] | None = Field(
        None, description="left out: the model's own, or the metric's where it has none"
    )
    horizon: Annotated[int, Field(ge=0, le=MAX_CHECKS)] = Field(5, description="checks to look ahead")


class PredictQuery(Query):
    """Where will the disparate impact ratio be?"""

    model: ModelName | None = None
    window: Annotated[int, Field(ge=3, le=MAX_CHECKS)] = 20
    horizon: Annotated[int, Field(ge=1, le=MAX_CHECKS)] = 1
    threshold: Annotated[float, Field(gt=0, le=2)] | None = Field(
        None, description="left out: the model's own, or 0.8 where it has none"
    )


class HistoryQuery(PageQuery):
    """Records, newest first."""

    limit: Limit = 20
    cursor: Cursor = None
    model: ModelName | None = None
    alert: bool | None = None


class ModelsQuery(PageQuery):
    """Registered models, by name and version."""
