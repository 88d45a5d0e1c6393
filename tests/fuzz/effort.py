"""How long to search: the same few examples in every test run, new ones for as long as `make fuzz` asks."""

import os

from hypothesis import HealthCheck, settings

EXAMPLES_VARIABLE = "GENRESTREAM_FUZZ_EXAMPLES"
"""Set by run.py: so many examples a test, other ones each time."""

_ASKED = int(os.environ.get(EXAMPLES_VARIABLE, "0"))


def examples(count: int) -> settings:
    """So many examples, always the same; or as many new ones as the variable says."""
    return settings(
        max_examples=_ASKED or count,
        derandomize=not _ASKED,
        database=None,
        deadline=None,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
