"""The store of analytics_worker."""
