"""Pure functions from texts and media bytes to the tensors of a specification; `extract` is the entrance."""
