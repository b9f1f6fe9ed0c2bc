"""Entry point of `long-term-memory`: one process."""

from long_term_memory.app import build
from long_term_memory.settings import LtmSettings
from service_runtime.server import serve


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    serve("long-term-memory", LtmSettings, build)


if __name__ == "__main__":
    main()
