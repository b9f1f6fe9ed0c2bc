"""Entry point of `memory`: one process."""

from memory.app import build
from memory.settings import MemorySettings
from service_runtime.server import serve


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    serve("memory", MemorySettings, build)


if __name__ == "__main__":
    main()
