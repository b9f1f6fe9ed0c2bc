"""When a turn's audio plays, for the engine that sends it and the output-handler that schedules it."""
