"""What LLM and TTS providers share: isolation, states, keys, egress and caching."""
