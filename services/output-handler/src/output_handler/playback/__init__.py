"""The present turn of one session: state, stop, pause and idle."""
