"""`output-handler`: one output-handler process."""

from output_handler.app import build
from output_handler.settings import OutputSettings
from service_runtime.server import serve


def main() -> None:
    """Serve until told to end."""
    serve("output-handler", OutputSettings, build)


if __name__ == "__main__":
    main()
