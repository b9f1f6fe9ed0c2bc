"""Reads VtuberSessions and writes the flags that services go by."""
