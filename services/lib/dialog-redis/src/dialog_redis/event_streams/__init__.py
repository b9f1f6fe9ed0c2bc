"""Redis Streams of events: publishing with detection of lost entries, consuming with takeover."""
