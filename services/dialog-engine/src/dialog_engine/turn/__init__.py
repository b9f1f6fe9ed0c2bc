"""One turn: its state machine, the runner that executes it, its events and its storage."""
