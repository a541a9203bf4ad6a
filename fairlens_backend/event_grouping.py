"""How a version of a model reads the events of single decisions: what is favourable, which values make one group."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from fairlens_backend import audit_runner, config, privacy_keeper, telemetry
from fairlens_backend.audit_runner import Subject
from fairlens_backend.core.enrich.attribute_groups import AttributeGroups
from fairlens_backend.errors import InvalidInput, NotFound
from fairlens_backend.event_coding import Coder
from fairlens_backend.event_enricher import Enricher
from fairlens_backend.storage.count_series import Series
from fairlens_backend.storage.session import current_session

MAX_KEPT: Final = 256
_READ: Final = "groupings"


@dataclass(frozen=True)
class Grouping:
    """What is counted together and how it is coded; whether the model lets features be kept."""

    series: Series
    coder: Coder
    keep_features: bool


_kept: OrderedDict[tuple[str, ...], tuple[Any, Grouping]] = OrderedDict()


def of(tenant: str, model: str, version: str | None, now: datetime | None = None) -> Grouping:
    """How this version of a model is read, by what it declares now.

    Raises
    ------
    NotFound : no such model or version
    InvalidInput : it does not say what is favourable or protected
    """
    subject = audit_runner.settle(tenant, model, version, {}, registered=True)
    privacy = privacy_keeper.of(tenant, now or telemetry.utc_now())
    declared = msgspec.json.encode(subject.declared, order="sorted").decode()
    # Of the switches those that say which labels are personal.
    state = (declared, privacy.token_key_version, tuple(sorted(privacy.personal_fields.items())))
    key = _key(tenant, model, subject.version)
    known = _kept.get(key)
    if known is None or known[0] != state:
        known = (state, _made(subject, Enricher(tenant, privacy)))
        _kept[key] = known
        while len(_kept) > MAX_KEPT:
            _kept.popitem(last=False)
    return known[1]


def truth_of(series: Series, label: bytes) -> int:
    """What a label, by its digest, means for the decisions of a series: one of the meanings of `label_words`."""
    return _of_series(series).coder.truth_words.of_digest(label)


def group_of(
    series: Series, group: tuple[str, ...], values: Mapping[str, Any], at_us: int
) -> tuple[str, ...] | None:
    """The group of a decision of a series once attributes of it are known, read as its event's would have been.

    None where an attribute is not one that the series is counted by, or that the model does not declare any more.
    """
    coder = _of_series(series).coder
    if not set(values) <= set(series.attributes) & set(coder.layout.protected):
        return None
    new = list(group)
    for name, value in values.items():
        column = coder.on_the_day(name, [value], lambda _: datetime.fromtimestamp(at_us / 1e6, UTC))
        new[series.attributes.index(name)] = coder.labels(name, column)[0]
    return tuple(new)


def _of_series(series: Series) -> Grouping:
    """How the version is read now: once a transaction from what it declares, since whoever sends a label names no model, and
    what was kept of it may be as old as the last event of it that this process took."""
    read = current_session().info.setdefault(_READ, {})
    if series not in read:
        try:
            read[series] = of(series.tenant, series.model, series.version)
        except (NotFound, InvalidInput):
            known = _kept.get(_key(series.tenant, series.model, series.version))
            if known is None:
                raise
            read[series] = known[1]  # the label's sender cannot help what the model no longer says
    found: Grouping = read[series]
    return found


def _key(tenant: str, model: str, version: str) -> tuple[str, ...]:
    return (config.current().sqlalchemy_url, tenant, model, version)


def _made(subject: Subject, enricher: Enricher) -> Grouping:
    layout = subject.layout(decision="prediction.label")
    normalised = {}
    if subject.declared.get("normalise_groups", True) is not False:
        iso_5218 = subject.declared.get("sex_codes") == "iso_5218"
        normalised = {
            name: one
            for name in layout.protected
            if (one := AttributeGroups(name, subject.reference_groups.get(name), iso_5218)).kind is not None
        }
    coder = Coder(layout, normalised, enricher.clean_label)
    series = Series(subject.tenant, subject.model, subject.version, layout.protected)
    return Grouping(series, coder, subject.declared.get("store_features", True) is not False)
