"""Code that LLM and TTS providers share: isolation, states, keys, egress rules and caching."""
