"""Takes what people say, numbers turns, calls the engine, and is the only one who does."""
