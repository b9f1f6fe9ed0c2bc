"""From fragments to chunks on the socket: cutting, pacing, sending."""
