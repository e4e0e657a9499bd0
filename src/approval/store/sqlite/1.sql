-- Times are microseconds since 1970. A text that is absent is empty, so that it can stand in a key.
CREATE TABLE holds (
    id         TEXT PRIMARY KEY,
    agent      TEXT NOT NULL,
    instance   TEXT NOT NULL,
    host       TEXT NOT NULL,
    port       INTEGER NOT NULL,
    scheme     TEXT NOT NULL,
    method     TEXT NOT NULL,
    path       TEXT NOT NULL,
    -- The request that asked first, masked.
    first      TEXT,
    terms      TEXT NOT NULL,
    first_time INTEGER NOT NULL,
    opened_at  INTEGER NOT NULL,
    dies_at    INTEGER NOT NULL,
    state      TEXT NOT NULL,
    closed_at  INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX holds_pending ON holds (state) WHERE state = 'pending';
CREATE INDEX holds_place ON holds (agent, host, port);
CREATE INDEX holds_closed ON holds (closed_at) WHERE closed_at IS NOT NULL;

-- Yeses to a pending question that needs more than one.
CREATE TABLE yeses (
    hold      TEXT NOT NULL,
    approver  TEXT NOT NULL,
    scope     TEXT NOT NULL,
    seconds   INTEGER,
    addresses TEXT NOT NULL,
    note      TEXT,
    at        INTEGER NOT NULL,
    PRIMARY KEY (hold, approver)
) STRICT, WITHOUT ROWID;

CREATE TABLE approvals (
    id        TEXT PRIMARY KEY,
    hold      TEXT NOT NULL,
    agent     TEXT NOT NULL,
    instance  TEXT NOT NULL,
    host      TEXT NOT NULL,
    port      INTEGER NOT NULL,
    scheme    TEXT NOT NULL,
    method    TEXT NOT NULL,
    path      TEXT NOT NULL,
    scope     TEXT NOT NULL,
    until     INTEGER,
    addresses TEXT NOT NULL,
    approver  TEXT NOT NULL,
    at        INTEGER NOT NULL,
    note      TEXT,
    -- How often a `once` may be claimed, and how often it was.
    uses      INTEGER NOT NULL,
    used      INTEGER NOT NULL,
    ended_at  INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX approvals_live ON approvals (agent) WHERE ended_at IS NULL;
CREATE INDEX approvals_hold ON approvals (hold);

CREATE TABLE silences (
    agent    TEXT NOT NULL,
    instance TEXT NOT NULL,
    host     TEXT NOT NULL,
    port     INTEGER NOT NULL,
    scheme   TEXT NOT NULL,
    method   TEXT NOT NULL,
    path     TEXT NOT NULL,
    until    INTEGER NOT NULL,
    PRIMARY KEY (agent, instance, host, port, scheme, method, path)
) STRICT, WITHOUT ROWID;

CREATE TABLE approvers (
    name   TEXT PRIMARY KEY,
    role   TEXT NOT NULL,
    -- A JSON list; absent for all agents.
    agents TEXT,
    digest TEXT NOT NULL UNIQUE,
    at     INTEGER NOT NULL,
    by     TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- `*` is everyone: no agent has that name.
CREATE TABLE freezes (
    whom TEXT PRIMARY KEY,
    by   TEXT NOT NULL,
    at   INTEGER NOT NULL,
    note TEXT
) STRICT, WITHOUT ROWID;

CREATE TABLE spent (
    day    TEXT NOT NULL,
    agent  TEXT NOT NULL,
    budget TEXT NOT NULL,
    bytes  INTEGER NOT NULL,
    PRIMARY KEY (day, agent, budget)
) STRICT, WITHOUT ROWID;
