"""Consumers of event streams: `ltm_worker` and `analytics_worker`, each a process of its own."""
