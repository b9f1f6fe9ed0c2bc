"""What the system says about itself: attributes, metrics, log lines, trace context."""
