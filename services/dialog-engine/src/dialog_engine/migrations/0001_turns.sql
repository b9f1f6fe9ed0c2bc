-- The seed plan's table, with its columns, and what replay and interruption need beside them.
CREATE TABLE turns(
  sessionId   TEXT    NOT NULL,
  turn        INTEGER NOT NULL,
  role        TEXT    NOT NULL CHECK (role IN ('user', 'assistant')),
  text        TEXT    NOT NULL,
  ts          INTEGER NOT NULL,
  requestId   TEXT,                          -- of the user's message: the same key never asks the model twice
  interrupted INTEGER NOT NULL DEFAULT 0,    -- of the reply: the text is what was heard
  revision    INTEGER NOT NULL DEFAULT 0,
  shape       TEXT,                          -- of the reply: lengths of its deltas, so that a replay has the same event ids
  stats       TEXT,                          -- of the reply: what `done` said
  PRIMARY KEY (sessionId, turn, role)
) WITHOUT ROWID;

CREATE INDEX turns_request ON turns(sessionId, requestId) WHERE requestId IS NOT NULL;

-- RESET: the prompt begins after this turn; the turns themselves stay.
CREATE TABLE session_resets(
  sessionId TEXT PRIMARY KEY,
  afterTurn INTEGER NOT NULL
) WITHOUT ROWID;
