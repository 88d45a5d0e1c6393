"""`python -m genrestream` is `genrestream`."""

from genrestream.cli.main import main

main()
