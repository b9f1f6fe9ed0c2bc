"""Connections to output-handlers: messages out, control messages in."""
