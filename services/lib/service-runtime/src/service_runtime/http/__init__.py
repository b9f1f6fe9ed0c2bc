"""What every door has: limits of connections, heads, bodies and frames, and a list of the names it answers to."""
