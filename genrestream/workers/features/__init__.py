"""Pure functions from texts and media bytes to the tensors of a specification; `extract` is the entrance."""

import os

# Features run in one process a core. OpenBLAS's own threads would fight over the same cores, spinning while
# they wait: a recording cost 33 ms of CPU instead of 10. Read at NumPy's import, and by child processes.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
