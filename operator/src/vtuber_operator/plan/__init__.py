"""What shall be: pure decisions over one snapshot."""
