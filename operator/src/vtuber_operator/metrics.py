"""The operator's metrics, each declared once.

Names are a contract with dashboards; a session is never a label. Failures of Redis and crashes of
background work are counted by the shared libraries (`dialog_redis_failures_total`,
`dialog_task_crashes_total`).
"""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

_S: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

PASSES = Counter("vtuber_operator_passes", "Passes of the planner over all resources.")
PASS_SECONDS = Histogram(
    "vtuber_operator_pass_seconds",
    "Duration of a pass: the plan, its status writes and its write to Redis.",
    buckets=_S,
)
STATUS_WRITES = Counter("vtuber_operator_status_writes", "Status writes by outcome.", ["outcome"])
DOCUMENT_WRITES = Counter(
    "vtuber_operator_document_writes", "Transactions that changed the flag documents in Redis."
)
ACKNOWLEDGED_SECONDS = Histogram(
    "vtuber_operator_acknowledged_seconds",
    "Time from writing documents to their acknowledgement by every live pod.",
    buckets=_S,
)
RESOURCES = Gauge("vtuber_operator_resources", "VtuberSessions by phase.", ["phase"])
LIVE_PODS = Gauge("vtuber_operator_live_pods", "Pods that must acknowledge documents.")
PODS_BEHIND = Gauge(
    "vtuber_operator_pods_behind", "Live pods that do not use the present revision."
)
REDIS_UP = Gauge("vtuber_operator_redis_up", "1 while Redis answers.")
API_FAILURES = Counter(
    "vtuber_operator_api_failures",
    "Failed calls to the API server, by call and kind of error.",
    ["call", "kind"],
)
WATCH_RESTARTS = Counter("vtuber_operator_watch_restarts", "Restarts of the watches.")
CONFIG_MAP_BYTES = Gauge("vtuber_operator_config_map_bytes", "Size of flags.json.")
CONFIG_MAP_CUT = Gauge(
    "vtuber_operator_config_map_truncated",
    "1 while personas, models and voices do not fit into the ConfigMap.",
)
