-- Times are microseconds since 1970 (UTC). Objects are `Kind/namespace/name`.
CREATE TABLE deliveries (
    seq         INTEGER PRIMARY KEY,
    id          TEXT NOT NULL UNIQUE,
    receiver    TEXT NOT NULL,
    provider    TEXT NOT NULL,
    event       TEXT NOT NULL,
    sender_id   TEXT,
    received_at INTEGER NOT NULL,
    stored_at   INTEGER NOT NULL,
    headers     TEXT NOT NULL,
    body_size   INTEGER NOT NULL,
    facts       TEXT NOT NULL,
    commit_id   TEXT,
    note        TEXT
) STRICT;
CREATE INDEX deliveries_receiver ON deliveries (receiver, seq);
CREATE INDEX deliveries_sender ON deliveries (sender_id) WHERE sender_id IS NOT NULL;
CREATE INDEX deliveries_commit ON deliveries (commit_id) WHERE commit_id IS NOT NULL;

-- Apart, so that listing deliveries does not page through bodies.
CREATE TABLE bodies (
    seq  INTEGER PRIMARY KEY,
    body BLOB NOT NULL
) STRICT;

CREATE TABLE dedup (
    receiver    TEXT NOT NULL,
    key         TEXT NOT NULL,
    delivery_id TEXT NOT NULL,
    expires_at  INTEGER NOT NULL,
    PRIMARY KEY (receiver, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX dedup_expires ON dedup (expires_at);

CREATE TABLE jobs (
    seq           INTEGER PRIMARY KEY,
    id            TEXT NOT NULL UNIQUE,
    object        TEXT NOT NULL,
    state         TEXT NOT NULL CHECK (state IN ('pending', 'running', 'done', 'failed', 'superseded', 'dead')),
    payload       TEXT NOT NULL,
    priority      INTEGER NOT NULL,
    attempts      INTEGER NOT NULL DEFAULT 0,
    claims        INTEGER NOT NULL DEFAULT 0,
    worker        TEXT,
    step          TEXT,
    due_at        INTEGER NOT NULL,
    lease_until   INTEGER,
    created_at    INTEGER NOT NULL,
    started_at    INTEGER,
    finished_at   INTEGER,
    last_error    TEXT,
    superseded_by TEXT
) STRICT;
-- The two rules of the queue: at most one pending and one running job per object.
CREATE UNIQUE INDEX jobs_one_pending ON jobs (object) WHERE state = 'pending';
CREATE UNIQUE INDEX jobs_one_running ON jobs (object) WHERE state = 'running';
CREATE INDEX jobs_claim ON jobs (priority DESC, due_at, seq) WHERE state = 'pending';
CREATE INDEX jobs_due ON jobs (due_at) WHERE state = 'pending';
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;
CREATE INDEX jobs_object ON jobs (object, seq);

CREATE TABLE job_causes (
    job_id      TEXT NOT NULL,
    kind        TEXT NOT NULL,
    delivery_id TEXT NOT NULL, -- '' for none
    at          INTEGER NOT NULL,
    PRIMARY KEY (job_id, kind, delivery_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX job_causes_delivery ON job_causes (delivery_id) WHERE delivery_id <> '';

-- Objects whose jobs took the worker down with them.
CREATE TABLE troubles (
    object   TEXT NOT NULL PRIMARY KEY,
    vanished INTEGER NOT NULL,
    step     TEXT NOT NULL,
    panics   INTEGER NOT NULL,
    until    INTEGER NOT NULL -- timers wait until then; 0 for not set aside
) STRICT, WITHOUT ROWID;

CREATE TABLE steps (
    seq         INTEGER PRIMARY KEY,
    job_id      TEXT,
    delivery_id TEXT,
    object      TEXT NOT NULL,
    step        TEXT NOT NULL,
    cluster     TEXT,
    revision    TEXT,
    commit_id   TEXT,
    started_at  INTEGER NOT NULL,
    duration    INTEGER NOT NULL,
    outcome     TEXT NOT NULL,
    detail      TEXT NOT NULL
) STRICT;
CREATE INDEX steps_job ON steps (job_id) WHERE job_id IS NOT NULL;
CREATE INDEX steps_delivery ON steps (delivery_id) WHERE delivery_id IS NOT NULL;
CREATE INDEX steps_commit ON steps (commit_id) WHERE commit_id IS NOT NULL;
CREATE INDEX steps_object ON steps (object, seq);
CREATE INDEX steps_started ON steps (started_at);

CREATE TABLE messages (
    seq         INTEGER PRIMARY KEY,
    alert       TEXT NOT NULL,
    provider    TEXT NOT NULL,
    object      TEXT NOT NULL,
    event       TEXT NOT NULL,
    cause       TEXT NOT NULL,
    delivery_id TEXT,
    state       TEXT NOT NULL CHECK (state IN ('pending', 'sending', 'sent', 'dead')),
    attempts    INTEGER NOT NULL DEFAULT 0,
    claims      INTEGER NOT NULL DEFAULT 0,
    due_at      INTEGER NOT NULL,
    lease_until INTEGER,
    created_at  INTEGER NOT NULL,
    finished_at INTEGER,
    last_error  TEXT
) STRICT;
CREATE INDEX messages_due ON messages (due_at) WHERE state = 'pending';
CREATE INDEX messages_sending ON messages (lease_until) WHERE state = 'sending';
CREATE INDEX messages_delivery ON messages (delivery_id) WHERE delivery_id IS NOT NULL;
CREATE INDEX messages_object ON messages (object, seq);
CREATE INDEX messages_finished ON messages (finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE statuses (
    object     TEXT NOT NULL PRIMARY KEY,
    status     TEXT NOT NULL,
    generation INTEGER NOT NULL,
    spec_hash  TEXT NOT NULL,
    updated_at INTEGER NOT NULL
) STRICT;

CREATE TABLE generated (
    object   TEXT NOT NULL PRIMARY KEY,
    owner    TEXT NOT NULL,
    manifest TEXT NOT NULL
) STRICT;
CREATE INDEX generated_owner ON generated (owner);

CREATE TABLE overlays (
    object TEXT NOT NULL PRIMARY KEY,
    patch  TEXT NOT NULL
) STRICT;

CREATE TABLE applied (
    object          TEXT NOT NULL,
    cluster         TEXT NOT NULL,
    digest          TEXT NOT NULL,
    revision        TEXT NOT NULL,
    release_version INTEGER,
    at              INTEGER NOT NULL,
    PRIMARY KEY (object, cluster)
) STRICT, WITHOUT ROWID;

-- One row that a sick store tries to write until it can again.
CREATE TABLE probe (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    at INTEGER NOT NULL
) STRICT;
