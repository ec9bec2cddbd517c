"""Deterministic property tests: the same examples on every machine and every run."""

from hypothesis import settings

settings.register_profile("doseloop", derandomize=True, deadline=None)
settings.load_profile("doseloop")
