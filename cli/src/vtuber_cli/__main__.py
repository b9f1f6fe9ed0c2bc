"""Command line of `vtuber`.

At the top it imports only the standard library and modules that do the same, because `vtuber
models` also runs in image builds, where no package is installed.
"""

import argparse
import asyncio
import os
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Final

from vtuber_cli import settings
from vtuber_cli.settings import GATEWAY_PORT

READER_LEFT: Final = 141
"""Exit status that shells use for a closed pipe: 128 and SIGPIPE."""


def command_line() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="vtuber", description="A real-time dialog system for AI VTubers."
    )
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")

    run = commands.add_parser("run", help="run everything on this machine until Ctrl-C")
    run.add_argument("--port", type=_port, help="port of the page (default: PORT, or 8000)")
    run.add_argument(
        "--host",
        default="127.0.0.1",
        help="address of the page (default 127.0.0.1); 0.0.0.0 makes it reachable for phones",
    )
    run.add_argument(
        "--https",
        action="store_true",
        help="use a self-signed certificate, so that phones allow the microphone",
    )
    run.add_argument(
        "--data",
        type=Path,
        default=Path(".data"),
        help="folder for conversations and logs (default .data)",
    )
    run.add_argument(
        "--ephemeral", action="store_true", help="use free ports except for --port, for tests"
    )
    run.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="SERVICE.NAME=VALUE",
        help="set a variable of one service, with the highest precedence, "
        "e.g. input-handler.DIALOG_ENGINE_URL=http://127.0.0.1:9000",
    )
    run.add_argument(
        "--scale",
        action="append",
        default=[],
        metavar="SERVICE=N",
        help="number of processes of a service: dialog-engine=2, output-handler=2",
    )
    run.add_argument(
        "--state",
        type=Path,
        help="file that gets ports and process ids as JSON when everything is ready",
    )

    say = commands.add_parser(
        "say", help="run one turn: print the text, and play or save the voice"
    )
    say.add_argument("text")
    say.add_argument("--session", default="live-001", help="session to use (default live-001)")
    say.add_argument("--wav", type=Path, help="save the voice to this file instead of playing it")
    say.add_argument("--lang", help="language of the text, e.g. zh or en (default: detected)")
    say.add_argument(
        "--url",
        help=f"address of the gateway (default: VTUBER_URL, or http://127.0.0.1:{GATEWAY_PORT})",
    )

    talk = commands.add_parser("talk", help="speak with the character until Ctrl-C")
    talk.add_argument("--session", default="live-001", help="session to use (default live-001)")
    talk.add_argument(
        "--lang", choices=("zh", "en"), help="language that is spoken (default: detected)"
    )
    talk.add_argument("--wav", type=Path, help="use this WAV file instead of the microphone")
    talk.add_argument("--out", type=Path, help="save the voice to this file instead of playing it")
    talk.add_argument(
        "--headphones",
        action="store_true",
        help="the microphone does not record the voice, so you can interrupt at any time",
    )
    talk.add_argument(
        "--url",
        help=f"address of the gateway (default: VTUBER_URL, or http://127.0.0.1:{GATEWAY_PORT})",
    )

    models = commands.add_parser("models", help="download the speech models, which `run` then uses")
    models.add_argument(
        "--data",
        type=Path,
        default=Path(".data"),
        help="data folder; models are stored in its subfolder `models` (default .data)",
    )
    models.add_argument(
        "--check",
        action="store_true",
        help="only print which models are installed, and what works without the others",
    )
    models.add_argument(
        "--weights-only", action="store_true", help="download the models without their runtime"
    )
    models.add_argument(
        "--try",
        action="store_true",
        dest="attempt",
        help="transcribe a few synthesized sentences, and print the times",
    )

    doctor = commands.add_parser(
        "doctor", help="print what is configured, what answers, what is slow and what is missing"
    )
    doctor.add_argument(
        "--data",
        type=Path,
        default=Path(".data"),
        help="folder for conversations and logs (default .data)",
    )
    doctor.add_argument(
        "--providers",
        action="store_true",
        help="let each configured model and voice produce one sentence, and print the times",
    )
    doctor.add_argument("--json", action="store_true", help="print JSON")

    _flags_parser(commands)
    _events_parser(commands)
    return parser


def main() -> None:
    """Parse the command line and execute the command."""
    parser = command_line()
    asked = parser.parse_args()
    if asked.version:
        print(f"vtuber {version('vtuber-cli')}")
        return
    if asked.command is None:
        parser.print_help()
        return
    if asked.command == "run":
        sys.exit(_run(asked))
    if asked.command in (screens := {"models": _models, "doctor": _doctor, "flags": _flags}):
        sys.exit(_printed(screens[asked.command], asked))
    from dialog_contracts.model import SESSION_ID_RULE, is_session_id

    if getattr(asked, "session", None) is not None and not is_session_id(asked.session):
        parser.error(f"--session: {SESSION_ID_RULE}")
    from vtuber_cli import gateway

    try:
        asked.url = gateway.address(asked.url or settings.gateway_url())
    except ValueError as error:
        parser.error(f"{'--url' if asked.url else 'VTUBER_URL'}: {error}")
    if asked.command in (
        screens := {
            "events": _events,
            "analytics": _analytics,
            "backup": _backup,
            "restore": _backup,
        }
    ):
        sys.exit(_printed(screens[asked.command], asked))
    if asked.command == "talk":
        sys.exit(_talk(asked))
    from vtuber_cli import say as saying

    sys.exit(saying.main(asked.url, asked.session, asked.text, lang=asked.lang, wav_path=asked.wav))


def _printed(command: Callable[[argparse.Namespace], int], asked: argparse.Namespace) -> int:
    """Execute a command that only prints.

    A reader that leaves early (`vtuber doctor | head`) is not an error to report.
    """
    try:
        return command(asked)
    except BrokenPipeError:
        # The interpreter flushes stdout at its end, which would fail again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return READER_LEFT


def _port(text: str) -> int:
    try:
        return settings.port_number(text, "PORT")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error).partition(": ")[2]) from None


def _flags_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    flags = commands.add_parser("flags", help="change or show flags of a session on a cluster")
    verbs = flags.add_subparsers(dest="verb", required=True)
    for verb, what in (
        ("off", "turn a flag off, with all flags that need it"),
        ("on", "turn a flag on, with all flags that it needs"),
        ("show", "print the state of all flags"),
    ):
        one = verbs.add_parser(verb, help=what)
        one.add_argument("name", help="name of the VtuberSession")
        if verb != "show":
            one.add_argument("flag", help="name of the flag, e.g. ENABLE_SYNC_CORE")
            one.add_argument(
                "--dry-run", action="store_true", help="only print the kubectl command"
            )
        one.add_argument(
            "-n", "--namespace", help="namespace of the VtuberSession (default: the one of kubectl)"
        )
        one.add_argument("--context", help="context of the cluster (default: the one of kubectl)")


def _events_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    events = commands.add_parser("events", help="show events that wait or have failed")
    verbs = events.add_subparsers(dest="verb", required=True)
    analytics = commands.add_parser(
        "analytics", help="show turns, first audio and interruptions of sessions"
    )
    analytics.add_argument("--session", help="only this session, turn by turn")
    parsers = [analytics]
    for verb, what in (
        ("backlog", "print what waits in each engine and in each stream"),
        ("dead", "print the events that could not be delivered or applied"),
        ("replay", "try failed events again"),
    ):
        one = verbs.add_parser(verb, help=what)
        parsers.append(one)
        if verb == "replay":
            which = one.add_mutually_exclusive_group(required=True)
            which.add_argument("--all", action="store_true", help="every failed event")
            which.add_argument(
                "ids", nargs="*", default=[], help="ids as `events dead` prints them"
            )
    _backup_parsers(commands)
    for one in parsers:
        one.add_argument("--json", action="store_true", help="print JSON")
        one.add_argument(
            "--url",
            help=f"address of the gateway (default: VTUBER_URL, or http://127.0.0.1:{GATEWAY_PORT})",
        )


def _backup_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    for verb, what, file in (
        ("backup", "save turns, events and figures of a running system", "zip file to write"),
        ("restore", "replace them by those of a backup", "zip file of `backup`"),
    ):
        one = commands.add_parser(verb, help=what)
        one.add_argument("file", type=Path, help=file)
        one.add_argument(
            "--url",
            help=f"address of the gateway (default: VTUBER_URL, or http://127.0.0.1:{GATEWAY_PORT})",
        )


def _backup(asked: argparse.Namespace) -> int:
    from vtuber_cli import backup
    from vtuber_cli.console import Console
    from vtuber_cli.gateway_api import GatewayApi

    api = GatewayApi(asked.url, settings.admin_token())
    if asked.command == "backup":
        return backup.backup(api, Console(), asked.file)
    return backup.restore(api, Console(), asked.file)


def _events(asked: argparse.Namespace) -> int:
    from vtuber_cli import events
    from vtuber_cli.console import Console
    from vtuber_cli.gateway_api import GatewayApi

    api, console = GatewayApi(asked.url, settings.admin_token()), Console()
    if asked.verb == "backlog":
        return events.backlog(api, console, as_json=asked.json)
    if asked.verb == "dead":
        return events.dead(api, console, as_json=asked.json)
    return events.replay(api, console, None if asked.all else asked.ids, as_json=asked.json)


def _analytics(asked: argparse.Namespace) -> int:
    from vtuber_cli import analytics
    from vtuber_cli.console import Console
    from vtuber_cli.gateway_api import GatewayApi

    api = GatewayApi(asked.url, settings.admin_token())
    return analytics.main(api, Console(), asked.session, as_json=asked.json)


def _flags(asked: argparse.Namespace) -> int:
    from dialog_flags.flags import Flag
    from vtuber_cli import flags
    from vtuber_cli.console import Console

    place = flags.KubeTarget(asked.namespace, asked.context)
    if asked.verb == "show":
        return flags.show(asked.name, place=place, console=Console())
    if asked.flag not in list(Flag):
        print(
            f"vtuber flags: there is no flag {asked.flag}; the flags are {', '.join(Flag)}",
            file=sys.stderr,
        )
        return 2
    on = asked.verb == "on"
    return flags.flip(
        asked.name, Flag(asked.flag), on=on, place=place, dry=asked.dry_run, console=Console()
    )


def _talk(asked: argparse.Namespace) -> int:
    from vtuber_cli import talk

    return talk.main(
        asked.url,
        asked.session,
        lang=asked.lang,
        wav_path=asked.wav,
        out_path=asked.out,
        headphones=asked.headphones,
    )


def _doctor(asked: argparse.Namespace) -> int:
    from vtuber_cli import doctor
    from vtuber_cli.console import Console

    try:
        return doctor.main(
            asked.data, attempt=asked.providers, as_json=asked.json, console=Console()
        )
    except ValueError as error:
        print(f"Cannot check: {error}", file=sys.stderr)
        return 2


def _models(asked: argparse.Namespace) -> int:
    from vtuber_cli import models
    from vtuber_cli.console import Console

    folder = models.folder(asked.data)
    if asked.check or asked.attempt:
        status = models.check(folder, Console())
    else:
        status = models.install(folder, Console(), weights_only=asked.weights_only)
    return models.attempt(folder) if asked.attempt else status


def _run(asked: argparse.Namespace) -> int:
    from dialog_telemetry.nonblocking_output import non_blocking
    from vtuber_cli.console import Console
    from vtuber_cli.run import Runner, RunOptions

    options = RunOptions(
        data=asked.data,
        port=asked.port,
        host=asked.host,
        ephemeral=asked.ephemeral,
        state=asked.state,
        https=asked.https,
    )
    try:
        loaded = settings.load(asked.set, asked.scale)
    except ValueError as error:
        print(f"Cannot run: {error}", file=sys.stderr)
        return 2

    async def work() -> int:
        return await Runner(loaded, options, Console(non_blocking(sys.stdout, _lost))).run()

    return asyncio.run(work())


def _lost(lines: int) -> str:
    return f"({lines} lines could not be written here)"


if __name__ == "__main__":
    main()
