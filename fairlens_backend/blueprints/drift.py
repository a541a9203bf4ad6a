"""The drift of a model: its metrics over time, what detectors say of them, where a change comes from."""

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from fairlens_backend import backtester, read_cache, telemetry
from fairlens_backend.auth import current_caller, require_role
from fairlens_backend.blueprints._envelope import success
from fairlens_backend.blueprints._openapi import SECURED, answers
from fairlens_backend.schemas.audits import ModelPath
from fairlens_backend.schemas.backtest import BacktestRequest
from fairlens_backend.schemas.drift import DriftQuery

bp = APIBlueprint("drift", __name__, abp_tags=[Tag(name="drift", description="Change since the baseline")])


@bp.get(
    "/v1/models/<string:id>/drift",
    summary="How a model's metrics have moved since the baseline, and where the change comes from",
    security=SECURED,
    responses=answers(404),
)
@require_role("monitor")
def read_drift(path: ModelPath, query: DriftQuery) -> Response:
    """Series by attribute and metric with CUSUM, ADWIN, breakpoints, trend, pre-alert and prediction, and one grid of all.

    Between two audits the same question has the same answer for CACHE_TTL_S seconds.
    """
    found = read_cache.drift(current_caller().tenant, path.id, query, telemetry.utc_now())
    early = [one["early_warning"]["early_warning"] for one in found["series"]]
    beyond = sum(any(check["breached"] for check in one["timeseries"][-1:]) for one in found["series"])
    said = f"{len(early)} series: {beyond} beyond the limit at the end, {early.count(True)} with an early warning"
    said += f", {early.count(None)} without enough checks to tell." if None in early else "."
    return success(found, found["reason"] or said)


@bp.post(
    "/v1/models/<string:id>/backtest",
    summary="How often, and how early, settings would have alerted on the stored history",
    security=SECURED,
    responses=answers(404),
)
@require_role("monitor")
def run_backtest(path: ModelPath, body: BacktestRequest) -> Response:
    """On the audits as they were made, or on hours or days counted anew; two settings side by side. Nothing is written."""
    found = backtester.run_backtest(current_caller().tenant, path.id, body, telemetry.utc_now())
    return success(found, found["sentence"])
