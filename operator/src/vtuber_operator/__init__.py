"""Kubernetes operator: reads VtuberSessions and writes the flags that services use."""
