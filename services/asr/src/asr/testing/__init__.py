"""Backends that follow a script, for tests of asr; never imported by a service."""
