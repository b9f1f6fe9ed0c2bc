"""Microsoft Edge's read-aloud voices."""
