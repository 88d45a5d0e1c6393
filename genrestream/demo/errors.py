"""What ends the demo with one clear line."""


class DemoError(Exception):
    """The demo cannot go on; one line for people."""
