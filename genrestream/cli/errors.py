"""The error that ends a command with one clear line."""


class CommandError(Exception):
    """What the user has to know, in one line; the command ends with exit status 1."""
