"""What is trained beside what: a set, a task, and the earlier systems that fit it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from genrestream.schemas.items import Kind
from genrestream.schemas.taxonomy import AS_GIVEN
from genrestream.training.catalogue import ITEMS_FILE
from genrestream.training.errors import TrainingError

SAMPLE = "sample"
"""The generated catalogue's podcasts: the only podcasts with covers that anybody has at hand."""
SAMPLE_ITEMS = 400
SAMPLE_SEED = 7


@dataclass(frozen=True, slots=True)
class Contest:
    """Our head and some recipes on one set."""

    set_name: str
    """Its folder below the data folder, or `SAMPLE`."""
    kind: Kind
    recipes: tuple[str, ...] = ()
    """None where no earlier system hears what the set has."""
    task: str = "genres"
    taxonomy: str = AS_GIVEN
    source: str = ""
    asked_as: str = ""
    """The name of a contest that only runs when it is asked for."""
    other_set: str = ""
    """A set that has some of the items too, with labels of its own: where it is there, all is measured by
    these as well."""
    other_source: str = ""
    """Whose labels those are, for the taxonomy."""

    @property
    def name(self) -> str:
        """Also the name of its folder."""
        if self.asked_as:
            return self.asked_as
        return self.set_name if self.taxonomy == AS_GIVEN else f"{self.set_name}-{self.taxonomy}"

    def other_items(self, data: Path) -> Path | None:
        """The folder of the other set below `data`, if there is one."""
        folder = data / self.other_set
        return folder if self.other_set and (folder / ITEMS_FILE).is_file() else None


CONTESTS = (
    Contest(SAMPLE, Kind.PODCAST, ("podcast_vgg16_gru",)),
    Contest("podcasts", Kind.PODCAST),
    Contest("screenings", Kind.EVENT, ("podcast_vgg16_gru",)),
    Contest(
        "screenings",
        Kind.EVENT,
        ("poster_vgg16",),
        taxonomy="film-genres",
        source="imdb",
        other_set="films",
        other_source="tmdb",
    ),
    Contest(
        "screenings",
        Kind.EVENT,
        ("poster_vgg16_text",),
        taxonomy="film-genres",
        source="imdb",
        asked_as="screenings-read-posters",
    ),
    Contest("films", Kind.EVENT),
    Contest("tracks", Kind.TRACK, ("track_mfcc_cnn", "track_mfcc_cnn_published")),
    Contest("songs", Kind.TRACK, ("track_audio_lyrics",)),
)


def choose_contests(data: Path, names: Sequence[str] = ()) -> list[Contest]:
    """The contests of these names, or else of all sets that `data` has; some run only when named.

    Raises:
        TrainingError: there is no such contest, or its set is not there; one line.
    """
    known = {contest.name: contest for contest in CONTESTS}
    if unknown := [name for name in names if name not in known]:
        raise TrainingError(f"no contest {unknown[0]!r}: there are {', '.join(known)}")
    if names:
        chosen = [known[name] for name in dict.fromkeys(names)]
        if missing := [contest for contest in chosen if not _is_there(data, contest)]:
            raise TrainingError(f"no set {missing[0].set_name} in {data}: {ITEMS_FILE} is not there")
        return chosen
    chosen = [contest for contest in CONTESTS if not contest.asked_as and _is_there(data, contest)]
    if all(contest.set_name == SAMPLE for contest in chosen):
        sets = dict.fromkeys(contest.set_name for contest in CONTESTS if contest.set_name != SAMPLE)
        raise TrainingError(f"no sets in {data}: none of {', '.join(sets)} is there")
    return chosen


def _is_there(data: Path, contest: Contest) -> bool:
    return contest.set_name == SAMPLE or (data / contest.set_name / ITEMS_FILE).is_file()
