"""The last checks as a series: trend, pre-alert, prediction."""

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from fairlens_backend import trend_analyzer
from fairlens_backend.auth import current_caller, require_role
from fairlens_backend.blueprints._envelope import success
from fairlens_backend.blueprints._openapi import SECURED, answers
from fairlens_backend.schemas.checks import PreAlertQuery, PredictQuery, TrendQuery

bp = APIBlueprint("trend", __name__, abp_tags=[Tag(name="trend", description="Change over the last checks")])


@bp.get(
    "/api/fairness_trend",
    summary="Recent values of a metric and how they move",
    security=SECURED,
    responses=answers(404),
)
@require_role("monitor")
def fairness_trend(query: TrendQuery) -> Response:
    """Values oldest first, moving average, velocity per check, and the records at which the level changed."""
    tenant = current_caller().tenant
    trend_analyzer.require_checks(query.model, tenant)
    answer = trend_analyzer.trend(query.metric, query.window, model=query.model, tenant=tenant)
    average = answer["moving_average"]
    said = "no value yet" if average is None else f"moving average {average:.3f}"
    return success(answer, f"{answer['n_checks']} checks of {query.metric}: {said}.")


@bp.get(
    "/api/pre_alert",
    summary="Is a metric about to pass its threshold?",
    security=SECURED,
    responses=answers(404),
)
@require_role("monitor")
def pre_alert(query: PreAlertQuery) -> Response:
    """True when the moving average is beyond the threshold, or gets there within `horizon` checks; with the reasons."""
    tenant = current_caller().tenant
    trend_analyzer.require_checks(query.model, tenant)
    answer = trend_analyzer.pre_alert_check(
        query.metric, query.threshold, query.window, horizon=query.horizon, model=query.model, tenant=tenant
    )
    verdict = {True: "Pre-alert", False: "No pre-alert", None: "Not known"}[answer["pre_alert"]]
    return success(answer, f"{verdict}: {'; '.join(answer['reasons'])}.")


@bp.get(
    "/api/predict_fairness_drift",
    summary="Where the disparate impact ratio is heading",
    security=SECURED,
    responses=answers(404),
)
@require_role("monitor")
def predict_fairness_drift(query: PredictQuery) -> Response:
    """The predicted ratio with its 95 % interval, the probability of a breach, the checks until then, what to do."""
    tenant = current_caller().tenant
    trend_analyzer.require_checks(query.model, tenant)
    answer = trend_analyzer.predict(
        query.window, model=query.model, tenant=tenant, threshold=query.threshold, horizon=query.horizon
    )
    reason = answer["reason"].rstrip(".")
    return success(answer, f"{reason[:1].upper()}{reason[1:]}.")
