"""Decisions: pure functions of one snapshot."""
