"""Hears recordings: decodes them and finds their words."""
