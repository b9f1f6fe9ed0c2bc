"""Fans a session's speech out to its viewers."""
