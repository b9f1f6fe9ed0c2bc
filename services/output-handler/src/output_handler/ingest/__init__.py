"""The engines' side: connections from engines, and control queries to them."""
