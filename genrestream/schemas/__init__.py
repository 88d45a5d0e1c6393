"""What crosses a boundary: items, labels, dead letters, releases, topics, tensors, the taxonomy.

JSON Schema and AsyncAPI are generated from these models. This room imports nothing of the others.
"""

from genrestream.schemas.dead_letters import DeadLetter, DeadLetterCode, Place
from genrestream.schemas.features import (
    AudioFeatures,
    FeatureSpec,
    HashedTextFeatures,
    ImageFeatures,
    TextFeatures,
)
from genrestream.schemas.items import (
    Event,
    InlineMedia,
    Item,
    Kind,
    MediaReference,
    Modality,
    Podcast,
    Track,
    item_model,
)
from genrestream.schemas.labels import (
    Decision,
    LabelConfidence,
    LabelRecord,
    MissingModality,
    MissingReason,
    ReleaseReference,
    SourcePosition,
)
from genrestream.schemas.releases import (
    EncoderRecord,
    EncoderReference,
    Release,
    ReleaseAction,
    ReleaseAnnouncement,
)
from genrestream.schemas.replays import DeadLetterReplay
from genrestream.schemas.revision import Revision
from genrestream.schemas.topics import TOPICS, Topic

__all__ = [
    "TOPICS",
    "AudioFeatures",
    "DeadLetter",
    "DeadLetterCode",
    "DeadLetterReplay",
    "Decision",
    "EncoderRecord",
    "EncoderReference",
    "Event",
    "FeatureSpec",
    "HashedTextFeatures",
    "ImageFeatures",
    "InlineMedia",
    "Item",
    "Kind",
    "LabelConfidence",
    "LabelRecord",
    "MediaReference",
    "MissingModality",
    "MissingReason",
    "Modality",
    "Place",
    "Podcast",
    "Release",
    "ReleaseAction",
    "ReleaseAnnouncement",
    "ReleaseReference",
    "Revision",
    "SourcePosition",
    "TextFeatures",
    "Topic",
    "Track",
    "item_model",
]
