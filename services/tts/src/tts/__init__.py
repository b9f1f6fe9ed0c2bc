"""Legacy: last service of the legacy pipeline; synthesizes whole replies as files."""
