"""Servers in place of vendors, for tests and benches; never imported by a service."""
