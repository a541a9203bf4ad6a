"""Properties are checked without a stopwatch: on a shared machine a slow example says nothing about the code."""

from hypothesis import HealthCheck, settings

settings.register_profile("shared_machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared_machine")
