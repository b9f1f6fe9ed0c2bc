"""Servers in a test's own event loop; never imported by a service."""
