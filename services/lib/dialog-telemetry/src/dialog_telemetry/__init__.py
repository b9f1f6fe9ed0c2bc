"""Telemetry of all services: span attributes, metrics, log lines and trace context."""
