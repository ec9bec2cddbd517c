"""The host's records: everything received from pumps, in one SQLite file."""

from doseloop.store.database import RunRecord, Store

__all__ = ["RunRecord", "Store"]
