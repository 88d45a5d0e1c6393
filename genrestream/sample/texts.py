"""Titles, descriptions and lyrics from sentence patterns and each genre's words.

How much a text tells is bounded on purpose: a part of the words are everybody's, some belong to another
genre, and some texts say nothing at all. A linear model on bags of words then finds about 85 to 90 % of
the genres, as with real catalogues.
"""

import re
from collections.abc import Callable

from genrestream.sample.genres import KindVocabulary, kind_vocabulary, names
from genrestream.sample.plan import ItemPlan, Rng
from genrestream.schemas import Kind

_SLOT = re.compile(r"\{(\w+)\}")
_VAGUE_TEXT = 0.06
"""Share of the texts without a word of their genre."""
_OWN_THING = 0.66
_OTHER_THING = 0.06
"""Share of the things that are another genre's; the rest is shared by all."""
_FIRST_GENRE = 0.7


def write_texts(plan: ItemPlan) -> dict[str, str | None]:
    """The item's text fields (title, description, author, artist, album, lyrics), None where it has none."""
    rng = plan.rng("text")
    fill = _Filler(plan, rng)
    match plan.kind:
        case Kind.EVENT:
            if not plan.with_text:
                return {"title": None, "description": None}
            return {"title": fill.title(), "description": fill.paragraph(4, 7)}
        case Kind.PODCAST:
            author = plan.group.rsplit(" ", 1)[0]
            return {"title": fill.title(), "author": author, "description": fill.paragraph(4, 7)}
        case Kind.TRACK:
            album = fill.title() if rng.random() < 0.5 else None
            lyrics = fill.verses() if plan.with_text else None
            artist = plan.group.rsplit(" ", 1)[0]
            return {"title": fill.title(), "artist": artist, "album": album, "lyrics": lyrics}


class _Filler:
    """Fills patterns with what suits one item."""

    def __init__(self, plan: ItemPlan, rng: Rng) -> None:
        self._plan = plan
        self._rng = rng
        self._kind: KindVocabulary = kind_vocabulary(plan.kind)
        self._vague = rng.random() < _VAGUE_TEXT
        self._slots: dict[str, Callable[[], str]] = {
            "thing": self._thing,
            "name": lambda: f"{self._pick(names().first_names)} {self._pick(names().surnames)}",
            "place": lambda: self._pick(names().places),
            "venue": lambda: self._pick(names().venues),
            "collective": lambda: self._pick(names().collectives),
            "colour": lambda: self._pick(names().colours),
            "object": lambda: self._pick(names().objects),
            "group": lambda: plan.group.rsplit(" ", 1)[0],
            "number": lambda: str(rng.integers(2, 60)),
            "hour": lambda: str(rng.integers(6, 12)),
        }

    def title(self) -> str:
        """One title."""
        patterns = self._kind.titles if self._plan.script is None else self._script_patterns()[0]
        return self._filled(self._pick(patterns))

    def paragraph(self, fewest: int, most: int) -> str:
        """Between `fewest` and `most` sentences, about a third of which say nothing about the genre."""
        count = int(self._rng.integers(fewest, most + 1))
        if self._plan.script is not None:
            return " ".join(self._filled(self._pick(self._script_patterns()[1])) for _ in range(count))
        patterns = [
            self._kind.plain_sentences if self._rng.random() < 0.3 else self._kind.sentences
            for _ in range(count)
        ]
        return " ".join(self._filled(self._pick(choice)) for choice in patterns)

    def verses(self) -> str:
        """Two or three verses of four lines around a chorus that comes back."""
        chorus = "\n".join(self._line() for _ in range(2))
        verses = ["\n".join(self._line() for _ in range(3)) for _ in range(int(self._rng.integers(1, 3)))]
        return f"\n\n{chorus}\n\n".join([*verses, self._line()])

    def _line(self) -> str:
        if self._plan.script is not None:
            return self._filled(self._pick(self._script_patterns()[1]))
        plain = self._rng.random() < 0.4
        return self._filled(self._pick(self._kind.plain_sentences if plain else self._kind.sentences))

    def _thing(self) -> str:
        if self._plan.script is not None:
            return self._pick(self._kind.genres[self._genre()].words[self._plan.script])
        draw = self._rng.random()
        if self._vague or draw >= _OWN_THING + _OTHER_THING:
            return self._pick(self._kind.shared)
        genre = self._genre() if draw < _OWN_THING else self._pick(tuple(self._kind.genres))
        return self._pick(self._kind.genres[genre].things)

    def _genre(self) -> str:
        genres = self._plan.genres
        if len(genres) == 1 or self._rng.random() < _FIRST_GENRE:
            return genres[0]
        return self._pick(genres[1:])

    def _script_patterns(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        script = names().scripts[str(self._plan.script)]
        return script.titles, script.sentences

    def _filled(self, pattern: str) -> str:
        text = _SLOT.sub(lambda slot: self._slots[slot.group(1)](), pattern)
        return text[0].upper() + text[1:]

    def _pick(self, options: tuple[str, ...]) -> str:
        return options[int(self._rng.integers(len(options)))]
