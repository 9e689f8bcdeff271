"""Under the sanitizers everything takes several times as long: no reason to fail."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile(
    "sanitized", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=50
)
