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
    "Replies paused because somebody seemed to speak, and resumed because it was nothing.",
    ["action"],
)
MICROPHONES = Gauge("dialog_microphones", "Microphones that are on.")
MIC_DROPPED = Counter(
    "dialog_microphone_frames_dropped", "Microphone frames that nobody could listen to in time."
)
FALSE_INTERRUPTIONS = Counter(
    "dialog_false_interruptions", "Replies that went on after a sound that was no words."
)
SPEECH_CONTROLS_FAILED = Counter(
    "dialog_speech_controls_failed", "Replies not paused, resumed or stopped.", ["verb", "outcome"]
)
SESSIONS_OWNED = Gauge("dialog_session_leases", "Sessions that this engine has a lease of.")
SESSIONS_LOST = Counter(
    "dialog_session_leases_lost",
    "Sessions that another engine took while this one believed to have them.",
)
TURNS_RUNNING = Gauge("dialog_turns_running", "Turns whose text or voice is not finished.")
ENGINE_RETRIES = Counter(
    "dialog_engine_retries",
    "Turns that neither path took at first and that an engine was asked again.",
    ["outcome"],
)
DEADLINES_MISSED = Counter(
    "dialog_deadlines_missed", "Answers that did not come in time, by the deadline.", ["deadline"]
)
CONNECTIONS_REPLACED = Counter(
    "dialog_connections_replaced",
    "Connections without a whole request that were closed for newer ones, by limit.",
    ["limit"],
)
TURNS_CRASHED = Counter(
    "dialog_turns_crashed",
    "Turns that an unforeseen error of ours ended, by what failed.",
    ["where"],
)
UNEXPECTED_UPSTREAMS = Counter(
    "dialog_unexpected_upstream_responses",
    "Answers from something else at a service's address; its connections were given up.",
)
DEFERRED_TURNS_OVERFLOW = Counter(
    "dialog_deferred_turns_overflow",
    "Voice files that were cut because too much waited for their end.",
)
TRUNCATIONS_FAILED = Counter(
    "dialog_truncations_failed", "Cut voice files whose heard words could not be filed."
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
    "Turns of the main path that were given up when the engine had begun to answer, by outcome.",
    ["outcome"],
)
ENGINE_FAILOVERS = Counter(
    "dialog_engine_failovers",
    "Turns taken to another engine than was thought to have the session, by reason.",
    ["reason"],
)
FALLBACK_SECONDS = Histogram(
    "dialog_fallback_seconds",
    "Call of the engine to the turn's being in the legacy chain's queue, where it fell back.",
    buckets=(0.002, 0.005, 0.02, 0.1, 0.3, 0.5, 1.0, 2.0, 8.0, 10.0),
)
LEGACY_TURNS = Counter(
    "dialog_legacy_turns",
    "Turns given to the legacy chain, by what input-handler heard of them.",
    ["outcome"],
)
LEGACY_SECONDS = Histogram(
    "dialog_legacy_seconds",
    "A turn's time in the legacy chain.",
    buckets=(0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0),
)
LEGACY_FAILURES = Counter(
    "dialog_legacy_failures",
    "What the legacy chain failed at, by stage and code.",
    ["stage", "code"],
)
QUEUE_JOBS = Counter(
    "dialog_queue_jobs", "Messages of a work list, by what became of them.", ["list", "outcome"]
)
QUEUE_BACKLOG = Gauge(
    "dialog_queue_backlog", "Messages in a work list that nobody has taken.", ["list"]
)
QUEUE_JOBS_RECLAIMED = Counter(
    "dialog_queue_jobs_reclaimed",
    "Messages taken back from consumers that ended with them.",
    ["list"],
)
ENGINE_WAITS = Counter(
    "dialog_engine_waits",
    "Turns that waited for an engine that was being replaced, by outcome.",
    ["outcome"],
)
LLM_FALLBACKS = Counter(
    "dialog_llm_fallbacks", "Times a language model was passed over.", ["provider", "reason"]
)
TTS_FALLBACKS = Counter(
    "dialog_tts_fallbacks", "Times a voice was passed over.", ["provider", "reason"]
)
TTS_UNDERRUNS = Counter(
    "dialog_tts_underruns", "Chunks that were ready only after their time had come."
)
COMMIT_SECONDS = Histogram(
    "dialog_commit_seconds",
    "A turn's SQLite commit.",
    buckets=(0.001, 0.002, 0.004, 0.008, 0.016, 0.05, 0.25, 1.0),
)
REDIS_FAILURES = Counter(
    "dialog_redis_failures", "Redis calls that failed, by what they were for.", ["purpose"]
)
FLAG_REVISION = Gauge(
    "dialog_flag_revision",
    "Revision of the flag documents that this process goes by; Unix ms of their writing.",
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
    "Answers of the legacy chain at an output-handler, by what became of them.",
    ["outcome"],
)
STOP_SECONDS = Histogram(
    "dialog_stop_seconds", "Receipt of STOP to the engine's STOP_ACK.", buckets=_STOP_S
)
STOPS = Counter("dialog_stops", "STOP requests by outcome.", ["outcome"])
ASR_RECORDINGS = Counter(
    "dialog_asr_recordings", "Recordings, by what became of them.", ["outcome"]
)
ASR_SECONDS = Histogram(
    "dialog_asr_seconds",
    "A recording's fetching, decoding and recognition.",
    buckets=(0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0),
)

ASR_BACKEND_INFO = Gauge(
    "dialog_asr_backend_info",
    "What microphones are heard with: 1 for what is in use, by part; stand_in: no model.",
    ["part", "name"],
)
UTTERANCES = Counter(
    "dialog_utterances",
    "Utterances at microphones, by why they ended and how their words were found.",
    ["ended", "outcome"],
)
UTTERANCE_SECONDS = Histogram(
    "dialog_utterance_seconds",
    "Last voice of an utterance to its words.",
    buckets=(0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9, 1.2, 1.6, 2.0, 3.0, 5.0, 10.0),
)
ASR_INTERIM_RESULTS = Counter(
    "dialog_asr_interim_results",
    "Looks at the words of an utterance that goes on, by outcome.",
    ["outcome"],
)
ASR_INTERIM_SECONDS = Histogram(
    "dialog_asr_interim_seconds",
    "One such look.",
    buckets=(0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.8, 1.2, 2.0, 5.0),
)
EOT_PREDICTIONS = Counter(
    "dialog_eot_predictions", "Questions whether an utterance is complete, by answer.", ["outcome"]
)
EOT_INFERENCE_SECONDS = Histogram(
    "dialog_eot_inference_seconds",
    "One such question.",
    buckets=(0.02, 0.04, 0.06, 0.1, 0.15, 0.25, 0.5, 1.0),
)

REQUESTS_REJECTED = Counter(
    "dialog_requests_rejected", "Requests and frames refused, by code.", ["code"]
)
GATEWAY_CONNECTIONS = Gauge(
    "dialog_gateway_connections", "Connections open through the gateway, by kind.", ["kind"]
)
ASYNCIO_TASKS = Gauge(
    "dialog_asyncio_tasks", "Tasks of the event loop: what grows without end here has leaked."
)
LOG_LINES_LOST = Gauge(
    "dialog_log_lines_lost",
    "Log lines that could not be written: the disk or the pipe was full, or the pipe closed.",
)
TASK_CRASHES = Counter(
    "dialog_task_crashes", "Background tasks that ended with an error, by name.", ["task"]
)
