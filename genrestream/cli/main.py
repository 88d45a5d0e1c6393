"""`genrestream`: one command line for the stack, the workers, publishing, reading and training."""

import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from genrestream import __version__
from genrestream.cli import (
    announce,
    cache,
    classify,
    compare,
    dead_letters,
    encoders,
    models,
    publish,
    read,
    runs,
    stack,
    topics,
    worker,
)
from genrestream.cli.errors import CommandError


class TwoWords(TyperGroup):
    """A command may be named by two words, `train compare`, beside the one of its first word.

    A folder of the second word's name is given as `./compare`.
    """

    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **extra: Any) -> Any:
        """Of the command line with the two words as one."""
        two = " ".join(args[:2])
        joined = [two, *args[2:]] if two in self.commands else args
        return super().make_context(info_name, joined, *rest, **extra)


app = typer.Typer(
    name="genrestream",
    cls=TwoWords,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Genre labels for events, podcasts and tracks, as they stream in.\n\n"
        "Start with `genrestream up` (Kafka, Redis and Triton on this machine), then `genrestream worker` in "
        "one terminal, `genrestream labels --follow` in another, and publish something: "
        "`genrestream publish podcast --title 'Deep Space' --description 'Black holes and telescopes.'`"
    ),
)

for module in (
    stack,
    worker,
    publish,
    read,
    dead_letters,
    classify,
    encoders,
    models,
    compare,
    runs,
    topics,
    cache,
    announce,
):
    module.register(app)


@app.command(rich_help_panel="Other")
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def main() -> None:
    """Run the command line; a user's error is one line on standard error and a non-zero exit status."""
    try:
        # Not standalone: Typer would draw a box of several lines around what is wrong with a command line.
        status = app(prog_name="genrestream", standalone_mode=False)
    except CommandError as error:
        sys.exit(_fail(str(error)))
    except TyperException as error:
        sys.exit(_wrong_command_line(error))
    except typer.Abort:
        sys.exit(_fail("aborted"))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader left (`| head`). Python would complain again while it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    sys.exit(status)


def _fail(message: str) -> int:
    sys.stderr.write(f"genrestream: {message}\n")
    return 1


def _wrong_command_line(error: TyperException) -> int:
    # A list of choices comes one a line, and pydantic names the kind of its error first.
    message = " ".join(error.format_message().split()).replace("Value error, ", "").rstrip(".")
    # It is empty where a command without arguments has just shown its help.
    if message:
        context = getattr(error, "ctx", None)
        command = context.command_path if context is not None else "genrestream"
        _fail(f"{message} (see `{command} --help`)")
    return error.exit_code
