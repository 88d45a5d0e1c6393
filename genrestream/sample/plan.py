"""What each item of the sample is to be, before anything is drawn: its genres, its group, its parts.

Chance enters here and in the drawing with one random generator an item, seeded by (seed, kind, index):
an item does not depend on how many others there are, nor on which process makes it.
"""

from dataclasses import dataclass

import numpy as np

from genrestream.sample.genres import kind_vocabulary, names
from genrestream.schemas import Kind

Rng = np.random.Generator

ITEMS_A_GROUP = 3
_SECOND_GENRE = 0.35
_THIRD_GENRE = 0.25
_STRAY_GENRE = 0.2
"""How often an item's first genre is not its group's."""
_OTHER_SCRIPT = 0.04
_KIND_CODE = {kind: code for code, kind in enumerate(Kind)}


@dataclass(frozen=True, slots=True)
class ItemPlan:
    """What an item is to be."""

    kind: Kind
    index: int
    seed: int
    item_id: str
    group: str
    """Who stands behind it: organiser, producer or artist."""
    genres: tuple[str, ...]
    """One to three, the first being what it mostly is."""
    script: str | None
    """The language of its texts when they are in another script."""
    with_text: bool
    with_image: bool
    with_audio: bool

    def rng(self, part: str) -> Rng:
        """The random generator of one part of the item (`text`, `image`, `audio`)."""
        return np.random.default_rng([self.seed, _KIND_CODE[self.kind], self.index, *part.encode()])


def plan_item(kind: Kind, index: int, seed: int) -> ItemPlan:
    """The plan of a kind's `index`-th item."""
    rng = np.random.default_rng([seed, _KIND_CODE[kind], index])
    group, group_genre = _group(kind, index // ITEMS_A_GROUP, seed)
    first = _first_genre(kind, rng) if rng.random() < _STRAY_GENRE else group_genre
    with_text, with_image, with_audio = _modalities(kind, rng)
    return ItemPlan(
        kind=kind,
        index=index,
        seed=seed,
        item_id=f"sample-{kind}-{seed}-{index:05d}",
        group=group,
        genres=_genres(kind, first, rng),
        script=str(rng.choice(sorted(names().scripts))) if rng.random() < _OTHER_SCRIPT else None,
        with_text=with_text,
        with_image=with_image,
        with_audio=with_audio,
    )


def _first_genre(kind: Kind, rng: Rng) -> str:
    genres = kind_vocabulary(kind).genres
    weights = np.array([genre.weight for genre in genres.values()])
    return str(rng.choice(list(genres), p=weights / weights.sum()))


def _group(kind: Kind, group_index: int, seed: int) -> tuple[str, str]:
    """The group's name and the genre of most of its items."""
    rng = np.random.default_rng([seed, _KIND_CODE[kind], group_index, 1])
    genre = _first_genre(kind, rng)
    if kind is Kind.TRACK:
        name = f"{rng.choice(names().first_names)} {rng.choice(names().surnames)}"
    else:
        name = (
            f"{rng.choice(names().collectives)} {rng.choice(['Collective', 'Media', 'Network', 'Society'])}"
        )
    # Two groups may draw the same name; the number keeps them apart, and a seed's groups from another's.
    return f"{name} {seed}-{group_index}", genre


def _genres(kind: Kind, first: str, rng: Rng) -> tuple[str, ...]:
    vocabulary = kind_vocabulary(kind)
    chosen = [first]
    if rng.random() < _SECOND_GENRE:
        chosen.append(str(rng.choice(vocabulary.genres[first].related)))
        if rng.random() < _THIRD_GENRE:
            rest = sorted(set(vocabulary.genres) - set(chosen))
            chosen.append(str(rng.choice(rest)))
    return tuple(chosen)


def _modalities(kind: Kind, rng: Rng) -> tuple[bool, bool, bool]:
    """Whether the item has text, image and audio; at least one holds."""
    text, image, audio = rng.random(3)
    match kind:
        case Kind.EVENT:
            with_image = bool(image > 0.1)
            return bool(text > 0.06) or not with_image, with_image, False
        case Kind.PODCAST:
            return True, bool(image > 0.15), False
        case Kind.TRACK:
            with_audio = bool(audio > 0.08)
            return bool(text > 0.4) or not with_audio, bool(image > 0.5), with_audio
