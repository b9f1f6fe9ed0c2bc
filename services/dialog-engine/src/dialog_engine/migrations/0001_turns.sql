-- Two rows for each turn: the user's text and the reply.
CREATE TABLE turns(
  sessionId   TEXT    NOT NULL,
  turn        INTEGER NOT NULL,
  role        TEXT    NOT NULL CHECK (role IN ('user', 'assistant')),
  text        TEXT    NOT NULL,
  ts          INTEGER NOT NULL,
  requestId   TEXT,                          -- user row: a repeated message is recognised by it
  interrupted INTEGER NOT NULL DEFAULT 0,    -- reply row: 1 if the text is only the played part
  revision    INTEGER NOT NULL DEFAULT 0,
  shape       TEXT,                          -- reply row: lengths of its deltas as JSON, so that a replay has the same event ids
  stats       TEXT,                          -- reply row: figures of the event `done` as JSON
  PRIMARY KEY (sessionId, turn, role)
) WITHOUT ROWID;

CREATE INDEX turns_request ON turns(sessionId, requestId) WHERE requestId IS NOT NULL;

-- RESET: prompts begin after this turn. The turns stay stored.
CREATE TABLE session_resets(
  sessionId TEXT PRIMARY KEY,
  afterTurn INTEGER NOT NULL
) WITHOUT ROWID;
