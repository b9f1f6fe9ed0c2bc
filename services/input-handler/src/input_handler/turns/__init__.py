"""One turn from request to last event: number, limits, and the choice of the path."""
