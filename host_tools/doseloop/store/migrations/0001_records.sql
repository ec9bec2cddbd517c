-- Everything received from pumps. Events are keyed by what the pump numbers them with, so that
-- receiving one again (a retransmit, an attach, an import) changes nothing.
CREATE TABLE pump (
    serial      TEXT PRIMARY KEY,
    tier        TEXT NOT NULL,
    board       TEXT,
    firmware    TEXT NOT NULL,
    last_seen   TEXT NOT NULL
) STRICT;

CREATE TABLE event (
    serial      TEXT NOT NULL,
    boot        INTEGER NOT NULL,
    n           INTEGER NOT NULL,
    device_ms   INTEGER NOT NULL,
    name        TEXT NOT NULL,
    run         TEXT,
    data        TEXT NOT NULL,
    received    TEXT NOT NULL,
    PRIMARY KEY (serial, boot, n)
) STRICT, WITHOUT ROWID;

CREATE INDEX event_by_run ON event (serial, run);

CREATE TABLE telemetry (
    serial      TEXT NOT NULL,
    boot        INTEGER NOT NULL,
    device_ms   INTEGER NOT NULL,
    run         TEXT,
    status      TEXT NOT NULL,
    received    TEXT NOT NULL,
    PRIMARY KEY (serial, boot, device_ms)
) STRICT, WITHOUT ROWID;

CREATE TABLE reply (
    id          INTEGER PRIMARY KEY,
    serial      TEXT NOT NULL,
    boot        INTEGER NOT NULL,
    command     TEXT NOT NULL,
    arguments   TEXT NOT NULL,
    reply       TEXT NOT NULL,
    received    TEXT NOT NULL
) STRICT;

CREATE TABLE run (
    id          INTEGER PRIMARY KEY,
    serial      TEXT NOT NULL,
    run         TEXT NOT NULL,
    order_name  TEXT,
    order_text  TEXT,
    plan        TEXT,
    trace       TEXT,
    started     TEXT NOT NULL,
    ended       TEXT,
    reason      TEXT,
    ordered_steps   INTEGER,
    commanded_steps INTEGER,
    witnessed_steps INTEGER,
    delivered_nl    INTEGER,
    UNIQUE (serial, run)
) STRICT;
