"""Every wait of the cluster tests, in seconds, by what is waited for."""

TEST = 420.0
"""One test, with its namespace, install and removal."""

LONG_TEST = 900.0
"""One that tries many things, one after the other."""

TEST_WITH_CLUSTER = 900.0
"""The first test of a cluster of its own: it waits for nodes and images."""

CLUSTER_CREATED = 240.0
CLUSTER_STARTED_AGAIN = 90.0
IMAGE_BUILT = 900.0
IMAGES_LOADED = 300.0
INSTALLED = 180.0
UNINSTALLED = 120.0
BROKEN_UPGRADE_NOTICED = 45.0
SESSION_READY = 120.0
SPOKEN = 60.0
POD_READY_AGAIN = 90.0
NODE_DRAINED = 120.0
TALKS_AGAIN = 60.0
EVENTS_DELIVERED = 90.0
HISTORY_READABLE = 10.0
SHE_ANSWERS = 90.0
COMMAND = 60.0
EVIDENCE = 30.0
FLAG_FOLLOWS = 10.0
STORY_TOLD = 15.0
OPERATOR_RESUMES = 10.0
MANY_APPLIED = 90.0
MANY_READY = 30.0
SECRET_MOUNTED = 150.0
