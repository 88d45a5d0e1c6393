"""What an item holds of each modality: its texts and the bytes of its media, read where they lie."""

import hashlib
import os
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

    Files in the set's folder are read, no others; nor are other addresses fetched: these items are trained
    without them.
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
    path = _file_in(folder, media.url)
    try:
        return path.read_bytes() if path is not None and _is_read(path.stat()) else None
    except OSError:
        return None


def _is_read(found: os.stat_result) -> bool:
    # A pipe or a device would be read for ever.
    return stat.S_ISREG(found.st_mode) and found.st_size <= MAX_MEDIA_BYTES


def _file_in(folder: Path, url: str) -> Path | None:
    """The file that a relative path or a file:// address names; None where it is not in the folder.

    Whoever writes a set must not bring other files of this machine into a report; links are its owner's.
    """
    address = urlsplit(url)
    if address.scheme not in {"", "file"}:
        return None
    path = Path(os.path.normpath(folder / (unquote(address.path) if address.scheme else url)))
    return path if path.is_relative_to(os.path.normpath(folder)) else None
