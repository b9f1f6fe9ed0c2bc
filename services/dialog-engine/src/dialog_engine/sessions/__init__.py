"""What outlives a turn: session state, leases, shared history, and the handoff at shutdown."""
