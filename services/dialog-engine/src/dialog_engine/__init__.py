"""One turn at a time per session: language model, fragments, voice, memory."""
