"""The host's records: everything received from pumps, in one SQLite file."""

from doseloop.store.database import RunRecord, Sample, Store

__all__ = ["RunRecord", "Sample", "Store"]
