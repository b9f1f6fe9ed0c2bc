"""Legacy: last service of the legacy pipeline; synthesizes the whole reply as one file."""
