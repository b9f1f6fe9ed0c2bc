"""Responses and failures of the legacy pipeline."""
