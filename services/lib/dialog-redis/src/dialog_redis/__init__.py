"""Clients, subscriptions, stores and the work queue in Redis."""
