"""The roof: `create_app()` puts the rooms together; `python fairlens_backend/app.py` serves it for development."""

import sys
from pathlib import Path

if __name__ == "__main__":
    # Python put this folder first on the path; a room named like a standard module would hide that one.
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from typing import Any

from flask import Flask
from flask_cors import CORS
from flask_openapi3 import Info, OpenAPI
from werkzeug.middleware.proxy_fix import ProxyFix

from fairlens_backend import (
    __version__,
    account_manager,
    attestation_collector,
    audit_scheduler,
    auth,
    compliance_logger,
    config,
    key_rotator,
    ledger_keeper,
    ledger_witness,
    schedule_settings,
    telemetry,
)
from fairlens_backend.blueprints import (
    _envelope,
    _limits,
    _requests,
    admin,
    alerts,
    audit,
    audits,
    catalogue,
    compliance,
    drift,
    erasures,
    evaluate,
    exposition,
    ingest,
    jobs,
    keys,
    ledger,
    models,
    operations,
    privacy,
    schedules,
    trend,
    witness,
)
from fairlens_backend.blueprints import auth as auth_blueprint
from fairlens_backend.blueprints._json import StrictJson
from fairlens_backend.blueprints._openapi import SECURITY_SCHEMES
from fairlens_backend.clock_jobs import CLOCK_JOBS
from fairlens_backend.config import Settings
from fairlens_backend.errors import ConfigurationError
from fairlens_backend.schemas import events
from fairlens_backend.schemas._base import Envelope
from fairlens_backend.schemas.checks import EvaluateRequest, RegisterRequest, SubmitRequest
from fairlens_backend.storage import migrate, redis_link, session

BLUEPRINTS = (
    operations,
    auth_blueprint,
    evaluate,
    ingest,
    audits,
    schedules,
    alerts,
    catalogue,
    compliance,
    trend,
    drift,
    audit,
    ledger,
    witness,
    models,
    jobs,
    exposition,
    privacy,
    erasures,
    admin,
    keys,
)
DESCRIPTION = """Watches the decisions of deployed models and tells people, with evidence that others can check,
that a model has become unfair, or is about to. Every JSON answer has the same envelope; `message` is for people,
`error.code` for programs."""


def create_app(settings: Settings | None = None) -> Flask:
    """Build the application and bring its database, first administrator, evidence and clock up.

    Parameters
    ----------
    settings : None for those of the environment

    Raises
    ------
    ConfigurationError : a setting that is wrong, or in production a database that is not migrated
    """
    config.use(settings or config.load_settings())
    settings = config.current()
    redis_link.check()
    app = OpenAPI(
        "fairlens_backend",
        info=Info(title="FairLens", version=__version__, description=DESCRIPTION),
        security_schemes=SECURITY_SCHEMES,
        doc_ui=False,
        validation_error_model=Envelope,
        validation_error_callback=_envelope.invalid_request,
        static_folder=None,
    )
    app.json = StrictJson(app)
    if settings.trusted_proxies:
        count = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count)  # type: ignore[method-assign]
    origins = [origin.strip() for origin in settings.cors_origins.split(",") if origin.strip()]
    if origins:
        CORS(app, origins=origins, expose_headers=["X-Request-ID", "Retry-After"], max_age=600)
    # In this order: an id and a size for the request, its rate, its role, and only then its body.
    _requests.init_app(app)
    _limits.init_app(app)
    auth.init_app(app)
    app.before_request(_requests.check_body)
    app.before_request(audit_scheduler.ensure_running)
    _envelope.init_app(app)
    for room in BLUEPRINTS:
        app.register_api(room.bp)
    app.register_blueprint(operations.pages)
    _describe(app)
    _bring_up(settings)
    return app


def _describe(app: OpenAPI) -> None:
    """Finish the OpenAPI document: the models of bodies that come in two forms, and each operation's role."""
    for model in (EvaluateRequest, SubmitRequest, RegisterRequest):
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        app.components_schemas.update(schema.pop("$defs", {}))
        app.components_schemas[model.__name__] = schema
    app.components_schemas.update(events.openapi_components())
    operations.mark_roles(app.api_doc, app.view_functions, app.url_map.iter_rules())


def _bring_up(settings: Settings) -> None:
    if not settings.production:
        migrate.upgrade()
    elif not migrate.is_at_head():
        raise ConfigurationError("The database's schema is not up to date. Run: make migrate")
    schedule_settings.require_valid()
    attestation_collector.require_valid()
    ledger_witness.require_valid()
    now = telemetry.utc_now()
    key_rotator.ensure_keys(now)
    ledger_keeper.ensure_key(now)
    account_manager.ensure_admin(now)
    ledger_keeper.sign_if_due(now)
    # A crash may have left records whose log lines or anchors are missing.
    compliance_logger.publish()
    if settings.clock_enabled:
        audit_scheduler.start_clock(settings, CLOCK_JOBS)


def start_up_summary(app: Flask) -> str:
    """What runs where: modules, endpoints with their roles, how to log in."""
    settings = config.current()
    with app.test_request_context():
        listed = operations.endpoints()
    lines = [
        f"FairLens {__version__} ({settings.environment}) on http://{settings.host}:{settings.port}",
        f"  database  {session.engine().url.render_as_string(hide_password=True)}",
        f"  data      {settings.data_path}",
        f"  login     {settings.admin_username}; password: ADMIN_PASSWORD"
        + ("" if settings.production else f", or as generated in {settings.data_path / config.SECRETS_FILE}"),
        "  modules   " + ", ".join(operations.MODULES),
        *(f"  {one['method']:6} {one['path']:36} {one['role']:14} {one['summary']}" for one in listed),
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Serve in the foreground with Werkzeug's threaded server, for development."""
    try:
        app: Any = create_app()
    except ConfigurationError as error:
        sys.exit(f"FairLens cannot start.\n{error.message}")
    sys.stdout.write(start_up_summary(app))
    sys.stdout.flush()
    app.run(host=config.current().host, port=config.current().port, threaded=True)


if __name__ == "__main__":
    main()
