"""Genrestream: streaming genre labels for events, podcasts and tracks."""

from importlib.metadata import version

__version__ = version("genrestream")
