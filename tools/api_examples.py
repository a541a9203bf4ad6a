"""One example call of every route, in an order in which each works after those before it.

`make_docs` writes them into the README as curl lines and into the Postman collection as requests. `<name>` in a text
is a variable: `$NAME` in the shell, `{{name}}` in Postman.
"""

from dataclasses import dataclass, field
from typing import Any

from fairlens_backend.schemas.alerts import RESOLVE_EXAMPLE, ROUTE_EXAMPLE, SILENCE_EXAMPLE, TEST_EXAMPLE
from fairlens_backend.schemas.audits import DRY_RUN_EXAMPLE, WINDOW_EXAMPLE
from fairlens_backend.schemas.backtest import BACKTEST_EXAMPLE
from fairlens_backend.schemas.checks import EVALUATE_EXAMPLE, REGISTER_EXAMPLE, SUBMIT_EXAMPLE
from fairlens_backend.schemas.erasures import ERASURE_EXAMPLE
from fairlens_backend.schemas.events import (
    ATTRIBUTES_EXAMPLE,
    EVENT_EXAMPLE,
    EVENT_TABLE_EXAMPLE,
    LABELS_EXAMPLE,
)
from fairlens_backend.schemas.jobs import REBUILD_EXAMPLE
from fairlens_backend.schemas.privacy import PRIVACY_EXAMPLE
from fairlens_backend.schemas.schedules import SCHEDULE_EXAMPLE


@dataclass(frozen=True)
class Example:
    """One call.

    Parameters
    ----------
    method, path : as the OpenAPI document spells them
    body : sent as JSON
    values : what stands for each `{variable}` of the path
    query : sent in the address
    text : sent as text/plain, where it is another protocol than ours
    keeps : variables for the calls after it, by the place of their value in the answer
    refusable : whether it is rightly refused where there is nothing to act on (yet, or any more)
    """

    method: str
    path: str
    body: dict[str, Any] | None = None
    values: dict[str, str] = field(default_factory=dict)
    query: dict[str, str] = field(default_factory=dict)
    keeps: dict[str, str] = field(default_factory=dict)
    text: str | None = None
    refusable: bool = False


CHECKPOINT_EXAMPLE = (
    "old 0\n\nlog.example/ledger\n1\nbjQLnP+zepicpUTmu3gKLHiQHT+zNzh2hRGjBhevoB0=\n\n"
    "— log.example/ledger Wt1W1J6DEvT2GnG+/MyZIux4oCDpdsJlY56IqyLLpXVITVZEQIRdizJl1YcPiYIYElb8HnWMy/zkbN3y1j1DHILmnQE=\n"
)
"""A head of a ledger; whose public key stands in WITNESS_LOGS is cosigned."""

TOKENS = {"token": "data.access_token", "refresh": "data.refresh_token"}

EXAMPLES: tuple[Example, ...] = (
    Example("GET", "/"),
    Example("GET", "/api/health", query={"ready": "1"}),
    Example("POST", "/api/login", {"username": "admin", "password": "<password>"}, keeps=TOKENS),
    Example("POST", "/api/refresh", {"refresh_token": "<refresh>"}, keeps=TOKENS),
    Example("GET", "/api/models", query={"limit": "20"}),
    Example("POST", "/api/models/register", REGISTER_EXAMPLE),
    Example(
        "POST",
        "/api/evaluate_model",
        EVALUATE_EXAMPLE,
        keeps={"record": "data.record_id", "hash": "data.evidence.hash", "audit": "data.audit_id"},
    ),
    Example("POST", "/api/submit_predictions", SUBMIT_EXAMPLE),
    Example("PUT", "/v1/tenant/privacy", PRIVACY_EXAMPLE),
    Example("GET", "/v1/tenant/privacy"),
    Example("POST", "/v1/erasures", ERASURE_EXAMPLE),
    Example("GET", "/v1/erasures", query={"limit": "20"}),
    Example("GET", "/v1/erasures/{id}", values={"id": "1"}),
    Example("POST", "/v1/predictions/ingest", EVENT_TABLE_EXAMPLE),
    Example(
        "GET",
        "/v1/models/{id}/proxy_estimates",
        values={"id": "hiring"},
        query={"attribute": "sex", "window_hours": "8760"},
        refusable=True,  # another worker may take the events, which sees the switch two seconds later
    ),
    Example("POST", "/v1/predictions/attributes", ATTRIBUTES_EXAMPLE),
    Example("POST", "/v1/predictions/ground_truth", LABELS_EXAMPLE),
    Example("GET", "/v1/dead_letters", query={"limit": "20"}),
    Example("POST", "/v1/dead_letters/{id}/replay", {"event": EVENT_EXAMPLE}, values={"id": "1"}),
    Example("DELETE", "/v1/dead_letters/{id}", values={"id": "2"}),
    Example("POST", "/v1/models/{id}/audit", WINDOW_EXAMPLE, values={"id": "loan_model"}),
    Example("PUT", "/v1/models/{id}/schedule", SCHEDULE_EXAMPLE, values={"id": "loan_model"}),
    Example("GET", "/v1/models/{id}/schedule", values={"id": "loan_model"}),
    Example("GET", "/v1/schedules", query={"limit": "20"}),
    Example("GET", "/v1/models/{id}/windows", values={"id": "loan_model"}, query={"limit": "20"}),
    Example("DELETE", "/v1/models/{id}/schedule", values={"id": "loan_model"}),
    Example(
        "POST",
        "/v1/models/{id}/rebuild_counts",
        REBUILD_EXAMPLE,
        values={"id": "hiring"},
        keeps={"job": "data.job_id"},
    ),
    Example("GET", "/v1/jobs", query={"limit": "20"}),
    Example("GET", "/v1/jobs/{id}", values={"id": "<job>"}),
    Example("POST", "/v1/jobs/{id}/cancel", values={"id": "<job>"}, refusable=True),
    Example("POST", "/v1/jobs/{id}/retry", values={"id": "<job>"}, refusable=True),
    Example("GET", "/metrics"),
    Example("GET", "/v1/metrics/fairness/{id}", values={"id": "loan_model"}),
    Example("GET", "/v1/audits", query={"model": "loan_model", "limit": "20"}),
    Example("GET", "/v1/audits/{id}", values={"id": "<audit>"}),
    Example(
        "GET",
        "/v1/audits/{id}/thresholds",
        values={"id": "<audit>"},
        query={"attribute": "gender", "criterion": "equal_opportunity"},
    ),
    Example("GET", "/v1/audits/{id}/estimates", values={"id": "<audit>"}, query={"attribute": "gender"}),
    Example(
        "GET",
        "/v1/audits/{id}/decomposition",
        values={"id": "<audit>"},
        query={"attribute": "gender", "stratum": "region"},
    ),
    Example("POST", "/v1/models/{id}/policy/dry_run", DRY_RUN_EXAMPLE, values={"id": "loan_model"}),
    Example("POST", "/v1/models/{id}/backtest", BACKTEST_EXAMPLE, values={"id": "loan_model"}),
    Example(
        "GET",
        "/v1/models/{id}/drift",
        values={"id": "loan_model"},
        query={"window_days": "30", "metrics": "dir,spd"},
    ),
    Example(
        "GET",
        "/v1/compliance/report/{model_id}",
        values={"model_id": "loan_model"},
        query={"start_date": "2026-01-01", "end_date": "2026-01-31", "format": "json"},
    ),
    Example(
        "GET",
        "/v1/alerts",
        query={"state": "open", "limit": "20"},
        keeps={"alert": "data.items[0]?.alert_id"},
    ),
    Example("GET", "/v1/alerts/{id}", values={"id": "<alert>"}),
    Example("POST", "/v1/alerts/{id}/acknowledge", {"reason": "I look at it"}, values={"id": "<alert>"}),
    Example("POST", "/v1/alerts/{id}/silence", SILENCE_EXAMPLE, values={"id": "<alert>"}),
    Example("POST", "/v1/alerts/{id}/resolve", RESOLVE_EXAMPLE, values={"id": "<alert>"}),
    Example("POST", "/v1/alerts/{id}/reopen", {"reason": "it is back"}, values={"id": "<alert>"}),
    Example("POST", "/v1/alerts/routes", ROUTE_EXAMPLE, keeps={"route": "data.id"}),
    Example("GET", "/v1/alerts/routes", query={"limit": "20"}),
    Example("PATCH", "/v1/alerts/routes/{id}", {"enabled": False}, values={"id": "<route>"}),
    Example("POST", "/v1/alerts/test", TEST_EXAMPLE, refusable=True),
    Example("DELETE", "/v1/alerts/routes/{id}", values={"id": "<route>"}),
    Example("GET", "/v1/alerts/dead_letters", query={"limit": "20"}),
    Example("POST", "/v1/alerts/dead_letters/{id}/retry", values={"id": "1"}, refusable=True),
    Example("DELETE", "/v1/alerts/dead_letters/{id}", values={"id": "2"}, refusable=True),
    Example("GET", "/v1/metrics"),
    Example("GET", "/v1/metrics/{name}", values={"name": "dir"}, query={"value": "0.72"}),
    Example("GET", "/api/monitor_fairness", query={"scenario": "drifted", "n_samples": "1000"}),
    Example("GET", "/api/fairness_trend", query={"metric": "dir", "window": "10", "model": "loan_model"}),
    Example("GET", "/api/pre_alert", query={"metric": "dir", "window": "10", "model": "loan_model"}),
    Example("GET", "/api/predict_fairness_drift", query={"model": "loan_model", "horizon": "3"}),
    Example("GET", "/api/audit_history", query={"limit": "20", "alert": "true"}),
    Example("GET", "/api/verify_alert/{record_id}", values={"record_id": "<record>"}),
    Example("GET", "/api/alerts/{record_id}/text", values={"record_id": "<record>"}),
    Example("GET", "/api/get_anchor/{hash}", values={"hash": "<hash>"}),
    Example("GET", "/v1/ledger/head", keeps={"tree_size": "data.tree_size"}),
    Example("GET", "/v1/ledger/entries", query={"start": "0", "end": "1"}),
    Example("GET", "/v1/ledger/proof/inclusion", query={"index": "0", "tree_size": "<tree_size>"}),
    Example("GET", "/v1/ledger/proof/consistency", query={"first": "1", "second": "<tree_size>"}),
    Example("GET", "/v1/ledger/key"),
    Example("GET", "/v1/ledger/witness"),
    Example("POST", "/v1/ledger/witness/add-checkpoint", text=CHECKPOINT_EXAMPLE),
    Example(
        "POST",
        "/api/admin/users",
        {"username": "ann", "password": "three-blue-lamps-7", "role": "auditor"},
    ),
    Example("GET", "/api/admin/users", query={"limit": "20"}),
    Example("DELETE", "/api/admin/users/{username}", values={"username": "ann"}),
    Example(
        "POST",
        "/api/admin/api_keys",
        {"name": "loan service", "scope": "submit"},
        keeps={"key": "data.key", "key_id": "data.id"},
    ),
    Example("GET", "/api/admin/api_keys", query={"limit": "20"}),
    Example("DELETE", "/api/admin/api_keys/{id}", values={"id": "<key_id>"}),
    Example("POST", "/api/admin/reset_key"),
    Example("GET", "/api/admin/keys"),
    Example("POST", "/api/admin/keys/{kind}/rotate", {}, values={"kind": "tokens"}),
    Example("POST", "/api/admin/keys/{kind}/retire", {}, values={"kind": "tokens"}, refusable=True),
    Example("POST", "/api/admin/acknowledge_damage"),
    Example("POST", "/api/logout"),
    Example("GET", "/openapi.json"),
    Example("GET", "/docs"),
    Example("GET", "/docs/ui/{name}", values={"name": "css/swagger-ui.css"}),
    Example("GET", "/static/{filename}", values={"filename": "pages.css"}),
)

# What the variables are before a call has kept one. The password is the reader's to fill in.
VARIABLES = {
    "base": "http://127.0.0.1:5050",
    "password": "",
    "token": "",
    "refresh": "",
    "record": "",
    "hash": "",
    "audit": "",
    "alert": "",
    "job": "",
    "tree_size": "",
    "route": "",
    "key": "",
    "key_id": "",
}
