"""What an item's picture says, in the place of a text that the item does not have."""

from dataclasses import replace

from genrestream.workers.features.content import Content
from genrestream.workers.live import LiveKind
from genrestream.workers.protocols import PictureTexts


async def with_picture_text(content: Content, live: LiveKind, texts: PictureTexts) -> Content:
    """The content with its picture's text, where the live heads know such texts.

    Raises:
        FeaturesImpossibleError: as the adapter says.
    """
    wanted = live.picture_text
    if wanted is None or (wanted.when == "absent" and any(field.strip() for field in content.text)):
        return content
    fields = () if content.image is None else await texts.read(content.image, wanted)
    if not fields and wanted.when == "absent":
        return content
    return replace(content, text=fields, text_is_read=True)
