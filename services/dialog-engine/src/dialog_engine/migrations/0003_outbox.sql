-- What events of a turn need, also those of a later revision.
ALTER TABLE turns ADD COLUMN viewerId TEXT;                       -- user row: who spoke
ALTER TABLE turns ADD COLUMN lang TEXT;                           -- user row: language code
ALTER TABLE turns ADD COLUMN events INTEGER NOT NULL DEFAULT 0;   -- reply row: 0 no events, 1 events, 2 events with `vectorize`
ALTER TABLE turns ADD COLUMN epoch INTEGER;                       -- reply row: epoch of the lease under which the turn ran
ALTER TABLE turns ADD COLUMN traceparent TEXT;                    -- reply row

-- Events that the relay sends to Redis Streams. The rows of a turn are written in its transaction.
CREATE TABLE outbox_events(
  id          INTEGER PRIMARY KEY AUTOINCREMENT,
  type        TEXT    NOT NULL,
  payload     TEXT    NOT NULL,              -- OutboxEvent as JSON
  created_at  INTEGER NOT NULL,              -- Unix ms
  delivered   INTEGER NOT NULL DEFAULT 0,    -- 0 waits, 1 delivered, 2 parked: it cannot be delivered, `error` says why
  eventId     TEXT    NOT NULL UNIQUE,
  stream      TEXT    NOT NULL,
  sessionId   TEXT    NOT NULL,
  traceparent TEXT,
  attempts    INTEGER NOT NULL DEFAULT 0,
  nextAttempt INTEGER NOT NULL DEFAULT 0,    -- Unix ms; 0: at once
  streamMs    INTEGER,                       -- the id that XADD returned is `<streamMs>-<streamSeq>`
  streamSeq   INTEGER,
  doneAt      INTEGER,                       -- Unix ms at which it was delivered or parked
  error       TEXT
);

CREATE INDEX outbox_waiting ON outbox_events(id) WHERE delivered = 0;
CREATE INDEX outbox_retried ON outbox_events(stream, sessionId, id) WHERE delivered = 0 AND nextAttempt > 0;
CREATE INDEX outbox_published ON outbox_events(stream, streamMs, streamSeq) WHERE delivered = 1;
CREATE INDEX outbox_done ON outbox_events(doneAt) WHERE delivered > 0;

-- The process of Redis to which the relay published last, by stream. After a restart of Redis the relay compares.
CREATE TABLE outbox_streams(
  stream  TEXT PRIMARY KEY,
  run     TEXT NOT NULL,                     -- id of the process of Redis
  created TEXT NOT NULL                      -- id of the stream, new whenever the stream is created anew
) WITHOUT ROWID;
