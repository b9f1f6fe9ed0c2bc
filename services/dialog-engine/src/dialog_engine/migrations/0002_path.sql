-- Turns that the legacy chain answered are in the engine's history too.
ALTER TABLE turns ADD COLUMN path TEXT NOT NULL DEFAULT 'sync' CHECK (path IN ('sync', 'legacy'));
