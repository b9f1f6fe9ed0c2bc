"""What tests of databases need."""
