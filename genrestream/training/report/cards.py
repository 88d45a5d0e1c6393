"""The items behind the worst mistakes: picture, sound and text, what they have and what they are given."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from genrestream.schemas.items import MEDIA_FIELDS, Modality, media_of
from genrestream.training.head_rows import MODALITIES
from genrestream.training.report.findings import Findings
from genrestream.training.report.media import MediaShelf
from genrestream.training.report.mistakes import Mistake, best_is_wrong, confidently_missed, confidently_wrong
from genrestream.training.report.words import shortened, title_and_excerpt

LABEL_CHARS = 60
MOST_LABELS = 12
"""Of one item's, true or given; a hundred would fill the card."""


@dataclass(frozen=True, slots=True)
class Card:
    """One mistake with its item."""

    label: str
    confidence: float
    title: str
    excerpt: str
    key: str
    true: tuple[str, ...]
    given: tuple[tuple[str, float, bool], ...]
    """Label, confidence and whether it is right."""
    picture: str | None
    clip: str | None
    notes: tuple[str, ...]
    """What could not be shown."""


@dataclass(frozen=True, slots=True)
class Mistakes:
    """The three lists, by their heading, and how much did not fit."""

    lists: Mapping[str, Sequence[Card]]
    media_left_out: int


def mistake_cards(findings: Findings, shelf: MediaShelf) -> Mistakes:
    """The worst mistakes of each kind; media are taken from the shelf while it has room."""
    truth, predictions = findings.truth, findings.predictions
    lists = {
        "Given with confidence, and wrong": confidently_wrong(truth, predictions),
        "True, and missed with confidence": confidently_missed(truth, predictions),
        "The best label is wrong": best_is_wrong(truth, predictions),
    }
    cards = {
        title: [_card(findings, mistake, shelf) for mistake in mistakes] for title, mistakes in lists.items()
    }
    return Mistakes(cards, shelf.left_out)


def _card(findings: Findings, mistake: Mistake, shelf: MediaShelf) -> Card:
    example = findings.examples[mistake.row]
    truth, confidences = findings.truth[mistake.row], findings.predictions.confidences[mistake.row]
    labels = [shortened(label, LABEL_CHARS) for label in findings.release.labels]
    title, excerpt = title_and_excerpt(example.item)
    given = np.flatnonzero(findings.predictions.decided[mistake.row])
    given = given[np.argsort(-confidences[given], kind="stable")][:MOST_LABELS]
    shown, notes = _media(findings, mistake.row, shelf)
    return Card(
        label=labels[mistake.label],
        confidence=mistake.confidence,
        title=title,
        excerpt=excerpt,
        key=shortened(example.key, 2 * LABEL_CHARS),
        true=tuple(labels[place] for place in np.flatnonzero(truth)[:MOST_LABELS]),
        given=tuple((labels[place], float(confidences[place]), bool(truth[place])) for place in given),
        picture=shown.get(Modality.IMAGE),
        clip=shown.get(Modality.AUDIO),
        notes=notes,
    )


def _media(
    findings: Findings, row: int, shelf: MediaShelf
) -> tuple[dict[Modality, str | None], tuple[str, ...]]:
    example = findings.examples[row]
    shown: dict[Modality, str | None] = {}
    notes = []
    for modality in MEDIA_FIELDS[example.item.kind]:
        if media_of(example.item, modality) is None:
            continue
        word = "picture" if modality is Modality.IMAGE else "sound"
        if modality not in findings.release.encoders:
            notes.append(f"{word} not shown: the head does not take it")
        elif not findings.presence[row, MODALITIES.index(modality)]:
            notes.append(f"{word} could not be read")
        else:
            left_out = shelf.left_out
            shown[modality] = shelf.picture(example) if word == "picture" else shelf.clip(example)
            if shown[modality] is None:
                full = shelf.left_out > left_out
                notes.append(f"{word} left out: the page is full" if full else f"{word} could not be read")
    return shown, tuple(notes)
