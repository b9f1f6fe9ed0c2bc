"""The public service: it serves the page and forwards requests and sockets without buffering."""
