"""Entry point of `chat-ai`: one process."""

from chat_ai.app import build
from chat_ai.settings import ChatSettings
from service_runtime.server import serve


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    serve("chat-ai", ChatSettings, build)


if __name__ == "__main__":
    main()
