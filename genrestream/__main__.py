"""The command `genrestream`, also as `python -m genrestream`.

Feature processes load the script that began their worker once more: here it loads nothing by itself.
"""


def main() -> None:
    """Run the command line."""
    from genrestream.cli.main import main as run  # noqa: PLC0415 - see above

    run()


if __name__ == "__main__":
    main()
