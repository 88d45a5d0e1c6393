"""What can be wrong with a model repository."""


class RepositoryError(Exception):
    """The repository cannot be used as asked; one line for people. Mend the folder or the request."""


class GraphInputError(RepositoryError):
    """A graph refuses the tensors it was given: names, types or shapes. The caller's features are wrong."""
