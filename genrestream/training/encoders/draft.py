"""An encoder that was built and measured, before it goes into the model repository."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from genrestream.repository import GRAPH
from genrestream.schemas import AudioFeatures, ImageFeatures, TextFeatures
from genrestream.schemas.releases import EmbeddingView
from genrestream.training.errors import TrainingError

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done and how much there is."""


class EncoderError(TrainingError):
    """The encoder cannot be built, or fails its checks and must not be used; one line for people."""


@dataclass(frozen=True, slots=True)
class Check:
    """A measured figure and the bound that it has to keep."""

    name: str
    value: float
    at_least: float | None = None
    at_most: float | None = None

    @property
    def passed(self) -> bool:
        """Whether the figure keeps its bound; NaN never does."""
        low = self.at_least is None or self.value >= self.at_least
        return low and (self.at_most is None or self.value <= self.at_most)

    def __str__(self) -> str:
        bound = f"at least {self.at_least:g}" if self.at_least is not None else f"at most {self.at_most:g}"
        return f"{self.name} {self.value:.3g} ({bound})"


@dataclass(frozen=True, slots=True)
class Draft:
    """An encoder's graph, the files beside it, and what was found when it was checked."""

    model: str
    features: ImageFeatures | TextFeatures | AudioFeatures
    embedding_dim: int
    graph: bytes
    source: str
    licence: str
    checks: tuple[Check, ...]
    views: tuple[EmbeddingView, ...] = ()
    """Parts of the embedding that heads learn from by themselves."""
    beside: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def files(self) -> dict[str, bytes]:
        """All files of the version but its record."""
        return {GRAPH: self.graph, **self.beside}
