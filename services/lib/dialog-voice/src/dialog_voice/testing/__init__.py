"""Servers that speak vendors' protocols, for tests and benches; never imported by a service."""
