"""`genrestream`: one command line for the stack, the workers, publishing, reading and training."""

import os
import sys

import typer

from genrestream import __version__
from genrestream.cli import (
    announce,
    cache,
    classify,
    encoders,
    models,
    publish,
    read,
    stack,
    topics,
    worker,
)
from genrestream.cli.errors import CommandError

app = typer.Typer(
    name="genrestream",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help=(
        "Genre labels for events, podcasts and tracks, as they stream in.\n\n"
        "Start with `genrestream up` (Kafka, Redis and Triton on this machine), then `genrestream worker` in "
        "one terminal, `genrestream labels --follow` in another, and publish something: "
        "`genrestream publish podcast --title 'Deep Space' --description 'Rockets, moons and astronomers.'`"
    ),
)

for module in (stack, worker, publish, read, classify, encoders, models, topics, cache, announce):
    module.register(app)


@app.command(rich_help_panel="Other")
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def main() -> None:
    """Run the command line; a user's error is one line on standard error and a non-zero exit status."""
    try:
        app()
    except CommandError as error:
        sys.exit(_fail(str(error)))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        # The reader left (`| head`). Python would complain again while it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)


def _fail(message: str) -> int:
    sys.stderr.write(f"genrestream: {message}\n")
    return 1
