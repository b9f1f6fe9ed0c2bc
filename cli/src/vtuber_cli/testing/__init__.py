"""Fakes for tests of the commands."""
