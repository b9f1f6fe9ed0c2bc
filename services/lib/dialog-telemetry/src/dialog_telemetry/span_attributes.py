"""Names of span attributes and of fields in log lines, each declared once."""

from typing import Final

SESSION_ID: Final = "vtuber.session.id"
TURN: Final = "vtuber.turn"
CORRELATION_ID: Final = "vtuber.correlation_id"
FLAGS_GENERATION: Final = "vtuber.flags.generation"
PATH: Final = "vtuber.path"
OUTCOME: Final = "vtuber.outcome"
VOICE: Final = "vtuber.voice"
GEN_AI_PROVIDER: Final = "gen_ai.provider.name"

LOG_CORRELATION_ID: Final = "correlationId"
LOG_TRACE_ID: Final = "trace_id"
LOG_SERVICE: Final = "service"
