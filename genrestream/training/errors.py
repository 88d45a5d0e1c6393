"""What can end a training with one clear line."""


class TrainingError(Exception):
    """The training cannot go on, or its result must not be used; one line for people."""


class CollapsedError(TrainingError):
    """The training ran as it should and learnt nothing: the same would come of another try."""
