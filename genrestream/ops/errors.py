"""The error that ends an attempt to start or reach the stack."""


class StackError(Exception):
    """A server is missing, did not start or cannot be reached: what the user has to know."""
