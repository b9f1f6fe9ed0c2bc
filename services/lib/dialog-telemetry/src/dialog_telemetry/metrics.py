"""All metrics, each declared once.

Names, labels and buckets are a contract with dashboards; session ids are never labels.
"""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_TEXT_S: Final = (0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.4, 0.8, 1.6, 3.2, 8.0)
_AUDIO_S: Final = (0.006, 0.015, 0.05, 0.1, 0.23, 0.26, 0.4, 0.8, 1.6, 3.2, 8.0)
_STOP_S: Final = (0.002, 0.005, 0.01, 0.02, 0.04, 0.1, 0.15, 0.3, 1.0)

TURNS = Counter("dialog_turns", "Turns by outcome and path.", ["path", "outcome"])
TURN_TTFT = Histogram(
    "dialog_turn_ttft_seconds", "Receipt of a turn to its first delta.", buckets=_TEXT_S
)
TURN_FIRST_AUDIO = Histogram(
    "dialog_turn_first_audio_seconds", "Receipt of a turn to its first chunk.", buckets=_AUDIO_S
)
PLAYBACK_PAUSES = Counter(
    "dialog_playback_pauses",
    "Replies paused because a user seemed to speak, and resumed after a false interruption.",
    ["action"],
)
MICROPHONES = Gauge("dialog_microphones", "Open microphones.")
MIC_DROPPED = Counter(
    "dialog_microphone_frames_dropped",
    "Microphone frames dropped because asr did not take them in time.",
)
FALSE_INTERRUPTIONS = Counter(
    "dialog_false_interruptions", "Replies resumed after a sound without words."
)
SPEECH_CONTROLS_FAILED = Counter(
    "dialog_speech_controls_failed",
    "Calls to pause, resume or stop a reply that failed.",
    ["verb", "outcome"],
)
SESSIONS_OWNED = Gauge("dialog_session_leases", "Sessions whose lease this engine holds.")
SESSIONS_LOST = Counter(
    "dialog_session_leases_lost",
    "Leases that another engine acquired while this one believed to hold them.",
)
TURNS_RUNNING = Gauge("dialog_turns_running", "Turns whose text or audio is not finished.")
ENGINE_RETRIES = Counter(
    "dialog_engine_retries",
    "Turns that neither path took at first, and for which an engine was called again.",
    ["outcome"],
)
DEADLINES_MISSED = Counter(
    "dialog_deadlines_missed", "Responses that did not come in time, by deadline.", ["deadline"]
)
CONNECTIONS_REPLACED = Counter(
    "dialog_connections_replaced",
    "Connections without a complete request that were closed for newer ones, by limit.",
    ["limit"],
)
TURNS_CRASHED = Counter(
    "dialog_turns_crashed",
    "Turns that an unexpected error ended, by what failed.",
    ["where"],
)
UNEXPECTED_UPSTREAMS = Counter(
    "dialog_unexpected_upstream_responses",
    "Responses from another server at a service's address; its connections were closed.",
)
DEFERRED_TURNS_OVERFLOW = Counter(
    "dialog_deferred_turns_overflow",
    "Audio files that were stopped because too many frames waited for their end.",
)
TRUNCATIONS_FAILED = Counter(
    "dialog_truncations_failed", "Stopped audio files whose played text could not be stored."
)
FALLBACKS = Counter(
    "dialog_fallbacks", "Turns that the main path could not answer, by reason.", ["reason"]
)
CIRCUIT = Gauge(
    "dialog_circuit_state",
    "Circuit breaker to an engine: 0 closed, 1 half-open, 2 open.",
    ["engine"],
)
ENGINE_REATTACHED = Counter(
    "dialog_engine_reattached",
    "Turns that were given to the legacy pipeline although an engine had begun to answer, by outcome.",
    ["outcome"],
)
ENGINE_FAILOVERS = Counter(
    "dialog_engine_failovers",
    "Turns sent to another engine than expected, by reason.",
    ["reason"],
)
FALLBACK_SECONDS = Histogram(
    "dialog_fallback_seconds",
    "Call of the engine to the turn's place in the legacy pipeline's queue, for turns that fell back.",
    buckets=(0.002, 0.005, 0.02, 0.1, 0.3, 0.5, 1.0, 2.0, 8.0, 10.0),
)
LEGACY_TURNS = Counter(
    "dialog_legacy_turns",
    "Turns given to the legacy pipeline, by outcome at input-handler.",
    ["outcome"],
)
LEGACY_SECONDS = Histogram(
    "dialog_legacy_seconds",
    "Time of a turn in the legacy pipeline.",
    buckets=(0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0),
)
LEGACY_FAILURES = Counter(
    "dialog_legacy_failures",
    "Failures in the legacy pipeline, by stage and code.",
    ["stage", "code"],
)
QUEUE_JOBS = Counter(
    "dialog_queue_jobs", "Messages of a work list, by outcome.", ["list", "outcome"]
)
QUEUE_BACKLOG = Gauge(
    "dialog_queue_backlog", "Messages in a work list that no consumer has taken.", ["list"]
)
QUEUE_JOBS_RECLAIMED = Counter(
    "dialog_queue_jobs_reclaimed",
    "Messages reclaimed from consumers that ended.",
    ["list"],
)
ENGINE_WAITS = Counter(
    "dialog_engine_waits",
    "Turns that waited for an engine that was being replaced, by outcome.",
    ["outcome"],
)
LLM_FALLBACKS = Counter(
    "dialog_llm_fallbacks",
    "Calls in which a language model was passed over.",
    ["provider", "reason"],
)
TTS_FALLBACKS = Counter(
    "dialog_tts_fallbacks", "Calls in which a voice was passed over.", ["provider", "reason"]
)
TTS_UNDERRUNS = Counter(
    "dialog_tts_underruns", "Chunks that were ready only after their playback time."
)
COMMIT_SECONDS = Histogram(
    "dialog_commit_seconds",
    "Time of a turn's commit to SQLite.",
    buckets=(0.001, 0.002, 0.004, 0.008, 0.016, 0.05, 0.25, 1.0),
)
REDIS_FAILURES = Counter(
    "dialog_redis_failures", "Calls to Redis that failed, by purpose.", ["purpose"]
)
FLAG_REVISION = Gauge(
    "dialog_flag_revision",
    "Revision of the flag documents that this process uses, in Unix ms.",
)
FLAG_DOCUMENTS = Gauge("dialog_flag_documents", "Sessions with a flag document, `*` included.")
FLAG_LOADS = Counter("dialog_flag_loads", "Reads of the flag documents, by outcome.", ["outcome"])
INGEST_DROPPED = Counter(
    "dialog_ingest_dropped", "Frames for an output-handler that could not be sent.", ["reason"]
)
INGEST_LINKS = Gauge(
    "dialog_ingest_connections",
    "Open sockets to output-handlers (engine) or from engines (output-handler).",
)

VIEWERS = Gauge("dialog_viewers", "Open viewer connections, by dialect.", ["dialect"])
VIEWER_DROPPED_CHUNKS = Counter(
    "dialog_viewer_dropped_chunks", "Chunks not sent to a viewer that was too slow."
)
VIEWERS_CLOSED = Counter(
    "dialog_viewers_closed", "Viewer connections closed by us, by reason.", ["reason"]
)
CHUNK_GAPS = Counter("dialog_chunk_gaps", "Sequence numbers missing in a turn.")
LEGACY_RESPONSES = Counter(
    "dialog_legacy_responses",
    "Responses of the legacy pipeline at an output-handler, by outcome.",
    ["outcome"],
)
STOP_SECONDS = Histogram(
    "dialog_stop_seconds", "Receipt of STOP to the engine's STOP_ACK.", buckets=_STOP_S
)
STOPS = Counter("dialog_stops", "STOP requests by outcome.", ["outcome"])
ASR_RECORDINGS = Counter("dialog_asr_recordings", "Recordings, by outcome.", ["outcome"])
ASR_SECONDS = Histogram(
    "dialog_asr_seconds",
    "Time to fetch, decode and recognise a recording.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0),
)

ASR_BACKEND_INFO = Gauge(
    "dialog_asr_backend_info",
    "Speech backends in use, by part; stand_in means no model.",
    ["part", "name"],
)
UTTERANCES = Counter(
    "dialog_utterances",
    "Utterances at microphones, by reason of their end and outcome of recognition.",
    ["ended", "outcome"],
)
UTTERANCE_SECONDS = Histogram(
    "dialog_utterance_seconds",
    "Last speech of an utterance to its transcript.",
    buckets=(0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9, 1.2, 1.6, 2.0, 3.0, 5.0, 10.0),
)
ASR_INTERIM_RESULTS = Counter(
    "dialog_asr_interim_results",
    "Interim transcripts of utterances, by outcome.",
    ["outcome"],
)
ASR_INTERIM_SECONDS = Histogram(
    "dialog_asr_interim_seconds",
    "Time of one interim transcript.",
    buckets=(0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.8, 1.2, 2.0, 5.0),
)
EOT_PREDICTIONS = Counter(
    "dialog_eot_predictions",
    "Predictions whether a user has finished speaking, by outcome.",
    ["outcome"],
)
EOT_INFERENCE_SECONDS = Histogram(
    "dialog_eot_inference_seconds",
    "Time of one prediction.",
    buckets=(0.02, 0.04, 0.06, 0.1, 0.15, 0.25, 0.5, 1.0),
)

REQUESTS_REJECTED = Counter(
    "dialog_requests_rejected", "Requests and frames refused, by code.", ["code"]
)
GATEWAY_CONNECTIONS = Gauge(
    "dialog_gateway_connections", "Connections open through the gateway, by kind.", ["kind"]
)
ASYNCIO_TASKS = Gauge(
    "dialog_asyncio_tasks", "Tasks of the event loop; a number that only grows is a leak."
)
LOG_LINES_LOST = Gauge(
    "dialog_log_lines_lost",
    "Log lines that could not be written: the disk or the pipe was full, or the pipe closed.",
)
TASK_CRASHES = Counter(
    "dialog_task_crashes", "Background tasks that ended with an error, by name.", ["task"]
)
DATABASE_TRANSACTIONS = Counter(
    "dialog_database_transactions", "Transactions of writes, by database.", ["database"]
)
DATABASE_WRITES = Counter(
    "dialog_database_writes", "Writes in these transactions, by database.", ["database"]
)
DATABASE_FAILURES = Counter(
    "dialog_database_failures",
    "Transactions that failed, by database and error.",
    ["database", "error"],
)
OUTBOX_BACKLOG = Gauge("dialog_outbox_backlog", "Events that wait for their delivery.")
OUTBOX_PARKED = Gauge("dialog_outbox_parked", "Events that could not be delivered.")
OUTBOX_OLDEST_AGE = Gauge(
    "dialog_outbox_oldest_age_seconds", "Age of the oldest event that waits for its delivery."
)
OUTBOX_EVENTS = Counter(
    "dialog_outbox_events", "Events of the outbox, by stream and outcome.", ["stream", "outcome"]
)
OUTBOX_DELIVERY_SECONDS = Histogram(
    "dialog_outbox_delivery_seconds",
    "Commit of an event to its entry in the stream.",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 2.0, 10.0, 60.0),
)
EVENTS_CONSUMED = Counter(
    "dialog_events_consumed", "Entries of event streams, by outcome.", ["stream", "outcome"]
)
EVENTS_CLAIMED = Counter(
    "dialog_events_claimed", "Entries taken over from other consumers.", ["stream"]
)
EVENTS_PENDING = Gauge(
    "dialog_events_pending", "Entries that were delivered and not acknowledged.", ["stream"]
)
EVENTS_LAG = Gauge("dialog_events_lag", "Entries that no consumer has got yet.", ["stream"])
EVENTS_TRIMMED = Counter(
    "dialog_events_trimmed",
    "Entries removed before they were acknowledged, because the stream was full.",
    ["stream"],
)
