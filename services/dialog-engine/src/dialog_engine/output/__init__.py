"""WebSockets to the output-handlers: audio and captions go out, STOP and positions come in."""
