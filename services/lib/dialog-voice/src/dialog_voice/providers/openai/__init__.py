"""OpenAI-compatible speech endpoints."""
