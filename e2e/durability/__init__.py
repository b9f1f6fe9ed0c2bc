"""The kill loop: real processes are killed while turns are answered, and every event is accounted for."""
