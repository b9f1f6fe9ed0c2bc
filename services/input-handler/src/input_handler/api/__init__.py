"""What clients call: the input socket and the history endpoints."""
