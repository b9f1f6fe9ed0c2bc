-- Which path has answered; turns of the legacy pipeline are imported.
ALTER TABLE turns ADD COLUMN path TEXT NOT NULL DEFAULT 'sync' CHECK (path IN ('sync', 'legacy'));
