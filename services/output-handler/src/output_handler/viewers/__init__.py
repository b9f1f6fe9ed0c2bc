"""The viewers' side: connections, queues and fan-out."""
