"""`python -m genrestream.sample DIR`: write a sample catalogue."""

import argparse
import signal
import sys
from pathlib import Path

from genrestream.sample.catalogue import generate


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m genrestream.sample",
        description="Write a synthetic catalogue, ready for training: events, podcasts, tracks.",
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="where the sets go")
    parser.add_argument("--items", type=int, default=100, help="items a kind (default 100)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same catalogue")
    given = parser.parse_args()
    # As Ctrl-C: the processes that draw and play are ended in order.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        generate(given.directory, given.items, given.seed)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{parser.prog}: {error}\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
