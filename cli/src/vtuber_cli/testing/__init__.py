"""What tests of the commands need beside them."""
