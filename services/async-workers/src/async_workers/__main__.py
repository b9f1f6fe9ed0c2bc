"""Entry point of the image: `python -m async_workers ltm|analytics`."""

import sys
from typing import Final

from async_workers import analytics_worker, ltm_worker

WORKERS: Final = {"ltm": ltm_worker.main, "analytics": analytics_worker.main}
USAGE: Final = 2


def main() -> None:
    """Serve the worker that the first argument names, until SIGTERM or SIGINT."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if name not in WORKERS:
        sys.stderr.write(
            f"async-workers: {name or 'no worker'}: name one of {', '.join(sorted(WORKERS))}\n"
        )
        sys.exit(USAGE)
    WORKERS[name]()


if __name__ == "__main__":
    main()
