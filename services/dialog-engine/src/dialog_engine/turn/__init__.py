"""A turn: its state machine, its log of events, its prompt, and the shell that runs it."""
