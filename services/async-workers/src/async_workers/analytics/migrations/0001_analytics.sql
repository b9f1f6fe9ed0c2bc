-- One row a turn. An event adds what it knows; the highest revision decides what was interrupted.
CREATE TABLE turns(
  sessionId    TEXT    NOT NULL,
  turn         INTEGER NOT NULL,
  revision     INTEGER NOT NULL DEFAULT 0,
  ts           INTEGER NOT NULL,              -- Unix seconds of the turn's first event
  path         TEXT,
  interrupted  INTEGER NOT NULL DEFAULT 0,
  heardChars   INTEGER,                       -- length of the played reply of an interrupted turn
  ttftMs       REAL,
  firstAudioMs REAL,
  totalMs      REAL,
  tokens       INTEGER,
  counted      INTEGER NOT NULL DEFAULT 0,    -- number of AnalyticsChatStats events that were applied
  PRIMARY KEY (sessionId, turn)
) WITHOUT ROWID;

CREATE INDEX turns_ts ON turns(ts);

-- Events that were applied, so that each one is applied once.
CREATE TABLE applied_events(
  eventId TEXT PRIMARY KEY,
  at      INTEGER NOT NULL                    -- Unix seconds
) WITHOUT ROWID;

CREATE INDEX applied_at ON applied_events(at);
