"""What a tenant wants done with personal data, and what proxies estimate where attributes are absent."""

from flask import Response
from flask_openapi3 import APIBlueprint, Tag

from fairlens_backend import privacy_keeper, proxy_estimator, telemetry
from fairlens_backend.auth import current_caller, require_role
from fairlens_backend.blueprints._envelope import success
from fairlens_backend.blueprints._openapi import SECURED, answers
from fairlens_backend.schemas.audits import ModelPath
from fairlens_backend.schemas.privacy import PrivacyRequest, ProxyEstimatesQuery

bp = APIBlueprint(
    "privacy", __name__, abp_tags=[Tag(name="privacy", description="Personal data and proxies")]
)


@bp.get(
    "/v1/tenant/privacy",
    summary="What is done with personal data of this tenant's events",
    security=SECURED,
    responses=answers(),
)
@require_role("admin")
def read_privacy() -> Response:
    """Proxies on or off, which fields are names, further personal fields, whether features are kept."""
    shown = privacy_keeper.show(current_caller().tenant)
    on = [name for name, is_on in shown["proxies"].items() if is_on]
    return success(
        shown,
        f"Proxies: {', '.join(on) or 'none'}; features are {'' if shown['store_features'] else 'not '}kept.",
    )


@bp.put(
    "/v1/tenant/privacy",
    summary="Change what is done with personal data of this tenant's events",
    security=SECURED,
    responses=answers(),
)
@require_role("admin")
def change_privacy(body: PrivacyRequest) -> Response:
    """Counts for events that come two seconds later at the latest, in every worker. What is left out stays as it is."""
    caller, now = current_caller(), telemetry.utc_now()
    shown = privacy_keeper.change(caller.tenant, body.model_dump(exclude_none=True), caller.username, now)
    changed = shown["updated_at"] == telemetry.timestamp(now)
    said = "are changed" if changed else "are so already: nothing is changed"
    return success(shown, f"The tenant's privacy settings {said}.")


@bp.get(
    "/v1/models/<string:id>/proxy_estimates",
    summary="What proxies estimate of a window's decisions whose protected attribute is absent",
    security=SECURED,
    responses=answers(404),
)
@require_role("monitor")
def read_proxy_estimates(path: ModelPath, query: ProxyEstimatesQuery) -> Response:
    """Weighted estimates with intervals and sharp bounds. They are no counts, and no audit takes them for one."""
    found = proxy_estimator.estimates(current_caller().tenant, path.id, query, telemetry.utc_now())
    return success(found, f"Estimates by proxy of {', '.join(found['attributes'])}; no counts.")
