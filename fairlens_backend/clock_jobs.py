"""What runs in the background, in this order at each tick: of a web server's own clock, and of `fairlens worker`."""

from fairlens_backend import (
    account_manager,
    alert_manager,
    attestation_collector,
    compliance_logger,
    count_keeper,
    event_retention,
    job_runner,
    key_rotator,
    ledger_keeper,
    operation_gauges,
    self_check,
    server_health,
    window_planner,
)

CLOCK_JOBS = {
    "publish_evidence": lambda now: compliance_logger.publish(),
    "purge_expired": account_manager.purge_expired,
    "compact_counts": count_keeper.compact,
    # After the counts: a window that is due now finds them folded, and what they changed is marked.
    "audit_windows": lambda now: window_planner.run_due(),
    "remind_alerts": alert_manager.remind_due,
    "purge_raw_events": count_keeper.purge_raw,
    "purge_old_details": event_retention.purge,
    "check_counts": job_runner.enqueue_checks,
    "follow_rotations": key_rotator.follow,
    "run_jobs": job_runner.run_due,
    "purge_jobs": job_runner.purge,
    "tally_audits": operation_gauges.tally,
    "watch_redis": lambda now: server_health.redis_health(),
    "sign_head": ledger_keeper.sign_if_due,
    "collect_attestations": attestation_collector.collect,
    "check_ledger": self_check.run_due,
}
"""By name, each called with the time now. One that fails is logged and stops no other."""
