"""The same claims searched by coverage, with atheris (libFuzzer for Python), where it is installed.

`pip install atheris`, then `python -m tests.fuzz.coverage_guided TARGET [CORPUS_DIR] [libFuzzer's options]`,
such as `-max_total_time=600`. TARGET is message, picture, recording or texts. Of the decoders, Python code is
followed and native code is not; for that, FFmpeg and Pillow are fuzzed by OSS-Fuzz.
"""

import sys
from collections.abc import Callable

import atheris

with atheris.instrument_imports(include=["genrestream", "PIL"]):
    from tests.fuzz.targets import check_message, check_picture, check_recording, check_texts

MAX_TEXT_FIELDS = 3


def _texts(data: bytes) -> None:
    provider = atheris.FuzzedDataProvider(data)
    fields = [provider.ConsumeUnicode(provider.ConsumeIntInRange(0, 1_000)) for _ in range(MAX_TEXT_FIELDS)]
    check_texts(tuple(fields))


TARGETS: dict[str, Callable[[bytes], object]] = {
    "message": check_message,
    "picture": check_picture,
    "recording": check_recording,
    "texts": _texts,
}


def main(arguments: list[str]) -> None:
    """Run until libFuzzer stops, or the claim breaks."""
    program, target, *rest = arguments
    atheris.Setup([program, *rest], TARGETS[target])
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv)
