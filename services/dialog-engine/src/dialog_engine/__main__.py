"""Entry point of `dialog-engine`: one engine process."""

from dialog_engine.app import build
from dialog_engine.settings import EngineSettings
from service_runtime.server import serve


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    serve("dialog-engine", EngineSettings, build)


if __name__ == "__main__":
    main()
