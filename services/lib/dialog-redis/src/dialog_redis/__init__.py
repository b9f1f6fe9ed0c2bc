"""Everything that talks to Redis: client, subscriptions, stores and the work queue."""
