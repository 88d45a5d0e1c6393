"""An item's texts and media bytes, and why some are missing. One broken medium never fails the item."""

from dataclasses import dataclass

from genrestream.schemas import InlineMedia, Item, MediaReference, MissingReason, Modality
from genrestream.schemas.items import MEDIA_FIELDS, media_of, text_fields_of
from genrestream.workers.errors import MediaUnavailable
from genrestream.workers.features.content import Content, Missing
from genrestream.workers.live import LiveKind
from genrestream.workers.protocols import Media
from genrestream.workers.together import together


@dataclass(frozen=True, slots=True)
class Gathered:
    """What there is of an item."""

    content: Content
    missing: dict[Modality, Missing]


def references(item: Item, live: LiveKind) -> int:
    """How many media `gather` is to fetch; inline media are there with the message."""
    media = (media_of(item, modality) for modality in MEDIA_FIELDS[item.kind] if modality in live.modalities)
    return sum(isinstance(medium, MediaReference) for medium in media)


async def gather(item: Item, live: LiveKind, media: Media) -> Gathered:
    """Read the media that live releases listen to, all at the same time."""
    wanted: dict[Modality, MediaReference | InlineMedia] = {}
    missing: dict[Modality, Missing] = {}
    for modality in MEDIA_FIELDS[item.kind]:
        medium = media_of(item, modality)
        if medium is None:
            missing[modality] = Missing(MissingReason.ABSENT, "")
        elif modality not in live.modalities:
            missing[modality] = Missing(MissingReason.NOT_IN_MODEL, "no live release uses it")
        else:
            wanted[modality] = medium
    results = await together([_fetch(media, medium) for medium in wanted.values()])
    found: dict[Modality, bytes] = {}
    for modality, result in zip(wanted, results, strict=True):
        if isinstance(result, Missing):
            missing[modality] = result
        else:
            found[modality] = result
    content = Content(
        text=text_fields_of(item), image=found.get(Modality.IMAGE), audio=found.get(Modality.AUDIO)
    )
    return Gathered(content, missing)


async def _fetch(media: Media, medium: MediaReference | InlineMedia) -> bytes | Missing:
    try:
        return await media.fetch(medium)
    except MediaUnavailable as unavailable:
        return Missing(unavailable.reason, unavailable.detail)
