"""What an item holds of each modality: its texts and the bytes of its media, read where they lie."""

import hashlib
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from genrestream.schemas.items import MEDIA_FIELDS, InlineMedia, Item, Modality, media_of, text_fields_of
from genrestream.workers.features.content import Content

if TYPE_CHECKING:
    from genrestream.training.catalogue import Example

MAX_MEDIA_BYTES = 64 * 1024 * 1024
"""A larger file is not read; the item is trained without it."""


def named_modalities(item: Item) -> frozenset[Modality]:
    """The modalities that the item names content for, whether or not it can be read."""
    media = {modality for modality in MEDIA_FIELDS[item.kind] if media_of(item, modality)}
    return frozenset(media | ({Modality.TEXT} if text_fields_of(item) else set()))


def read_content(example: "Example", modalities: frozenset[Modality]) -> Content:
    """The item's texts and media bytes of the given modalities; None for media that cannot be read.

    Files are read; other addresses are not fetched in training, their items are trained without them.
    """
    media = {
        modality: _read_media(media_of(example.item, modality), example.folder)
        for modality in (Modality.IMAGE, Modality.AUDIO)
        if modality in modalities
    }
    text = text_fields_of(example.item) if Modality.TEXT in modalities else ()
    return Content(text, media.get(Modality.IMAGE), media.get(Modality.AUDIO))


def content_hash(content: Content, modality: Modality) -> bytes:
    """SHA-256 of one modality's content, 32 bytes; equal content is encoded once."""
    digest = hashlib.sha256(modality.encode())
    if modality is Modality.TEXT:
        for text in content.text:
            encoded = text.encode("utf-8", "surrogatepass")
            digest.update(b"%d:" % len(encoded) + encoded)
    else:
        digest.update((content.image if modality is Modality.IMAGE else content.audio) or b"")
    return digest.digest()


def _read_media(media: Any, folder: Path) -> bytes | None:
    if media is None:
        return None
    if isinstance(media, InlineMedia):
        return bytes(media.data)
    address = urlsplit(media.url)
    if address.scheme not in {"", "file"}:
        return None
    path = folder / (unquote(address.path) if address.scheme else media.url)
    try:
        found = path.stat()
        # A pipe or a device would be read for ever.
        if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_MEDIA_BYTES:
            return None
        return path.read_bytes()
    except OSError:
        return None
