"""The command line: parse, call, print. One module per group of commands; no arithmetic.

Results go to stdout, as a table or (``--json``) as one JSON document; everything else goes to
stderr. Exit status: 0; 1 if the work failed; 2 if the request was wrong; 130 after Ctrl-C.
"""

import io
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated, Any

import typer

from macrid.cli.show import note
from macrid.errors import (
    DownloadError,
    MacridError,
    MacridWarning,
    SearchFailed,
    TooLarge,
    TrainingDiverged,
)

_FAILED = (DownloadError, SearchFailed, TooLarge, TrainingDiverged)  # asked rightly, and yet


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command and exit.

    Args:
        argv: Words after ``macrid``; by default those of the process.
    """
    sys.exit(run(sys.argv[1:] if argv is None else list(argv)))


def run(argv: Sequence[str]) -> int:
    """Run a command; the exit status."""
    # A closed stream is None; what is written to it is lost, as its owner wants.
    sys.stdout, sys.stderr = sys.stdout or io.StringIO(), sys.stderr or io.StringIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", MacridWarning)
        warnings.showwarning = _warn
        try:
            status = _app()(list(argv), prog_name="macrid", standalone_mode=False)
        except typer.Exit as stop:
            return stop.exit_code
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  _explain raises the unknown
            sentence, status = _explain(error)
            if sentence:
                note(f"error: {sentence}")
    return status if isinstance(status, int) else 0


def _explain(error: BaseException) -> tuple[str, int]:
    """An error as a sentence and an exit status; one that is a bug of macrid is raised again."""
    match error:
        case KeyboardInterrupt() | typer.Abort():
            return "stopped", 130
        case typer.TyperException():
            return getattr(error, "format_message", error.__str__)(), 2
        case MacridError():
            failed = isinstance(error, _FAILED) or _disk(error.__cause__)
            return str(error), 1 if failed else 2
        case ValueError():
            return str(error), 2
        case OSError():
            return f"{error.filename or 'the system'}: {error.strerror}", 1
        case MemoryError() | RuntimeError() if "memory" in str(error) or not str(error):
            return "there is not enough memory; try fewer concepts, dims or users per batch", 1
    raise error


def _app() -> Any:
    """All commands."""
    from macrid.cli import (
        compare,
        data,
        demo,
        describe,
        doctor,
        report,
        serve,
        steer,
        sweep,
        train,
        tune,
        use,
    )

    app = typer.Typer(
        name="macrid",
        help="Recommendation that people understand and steer.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.command("train")(train.train)
    app.command("compare")(compare.compare)
    app.command("evaluate")(use.evaluate)
    app.command("recommend")(use.recommend)
    app.command("similar")(use.similar)
    app.command("concepts")(describe.concepts)
    app.command("explain")(describe.explain)
    app.command("steer")(steer.steer)
    app.command("walk")(steer.walk)
    app.command("report")(report.report)
    app.command("tune")(tune.tune)
    app.command("sweep")(sweep.sweep)
    app.command("serve")(serve.serve)
    app.command("models")(doctor.models)
    app.add_typer(data.app, name="data")
    app.command("doctor")(doctor.doctor)
    app.command("demo")(demo.demo)
    app.callback()(_root)
    return typer.main.get_command(app)


def _print_version(wanted: bool) -> bool:
    """Print it and end, before a command is asked for."""
    if wanted:
        from macrid import __version__

        typer.echo(__version__)
        raise typer.Exit
    return wanted


def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Recommendation that people understand and steer."""


def _disk(cause: BaseException | None) -> bool:
    """Whether an error goes back to a device that could not be written."""
    return isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError)


def _warn(message: Any, *_: Any, **__: Any) -> None:
    """A warning as a line on stderr."""
    note(f"warning: {message}")
