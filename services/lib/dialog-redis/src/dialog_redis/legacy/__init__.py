"""Legacy: responses and failures of the legacy pipeline."""
