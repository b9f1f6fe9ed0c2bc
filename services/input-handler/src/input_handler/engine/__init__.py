"""The main path: routing to engines, deadlines, and the circuit breaker."""
