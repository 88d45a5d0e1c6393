"""`python -m genrestream.demo`."""

import sys


def main() -> int:
    """The exit status; 130 after Ctrl-C, from the first moment on."""
    try:
        from genrestream.demo.run import run  # noqa: PLC0415 - takes a second, in which Ctrl-C may come

        return run()
    except KeyboardInterrupt:
        sys.stderr.write("demo: interrupted; everything is stopped\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
