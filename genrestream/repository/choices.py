"""What there is to choose from: candidates that were trained, and the head to use for a kind and task."""

from dataclasses import dataclass
from pathlib import Path

from genrestream.repository.layout import GOLDEN, GRAPH, PAGE, RECORDS
from genrestream.schemas.releases import Release


@dataclass(frozen=True, slots=True)
class Candidate:
    """A trained head that no release has taken yet."""

    run: str
    directory: Path
    release: Release

    @property
    def page(self) -> Path | None:
        """Its report for people; None if it has none."""
        path = self.directory / PAGE
        return path if path.is_file() else None

    @property
    def files(self) -> dict[str, Path]:
        """Its files but the record and the page, as `add_version` takes them."""
        paths = sorted(self.directory.iterdir())
        return {path.name: path for path in paths if path.name not in {*RECORDS, PAGE}}


@dataclass(frozen=True, slots=True)
class HeadChoice:
    """The head to use for its kind and task: the live version, or a candidate trained since."""

    directory: Path
    release: Release
    run: str | None
    """The candidate's run; None for a released version."""

    @property
    def graph(self) -> Path:
        """The head's ONNX graph."""
        return self.directory / GRAPH

    @property
    def golden(self) -> Path:
        """The golden batch: inputs and the expected confidences."""
        return self.directory / GOLDEN
