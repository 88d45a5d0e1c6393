"""An item's content to the tensors of a plan: the one function that serving and training both call."""

import logging

from genrestream.schemas.features import AudioFeatures, HashedTextFeatures, ImageFeatures, TextFeatures
from genrestream.schemas.items import Modality
from genrestream.schemas.labels import MissingReason
from genrestream.workers.features.audio import audio_tensor
from genrestream.workers.features.content import (
    DEFAULT_LIMITS,
    Content,
    Extraction,
    FeatureLimits,
    FeaturePlan,
    FeatureTensor,
    Missing,
    Spec,
    modality_of,
)
from genrestream.workers.features.errors import (
    AbsentMedia,
    FeatureSetupError,
    MediaError,
    MediaTooLarge,
    UnreadableMedia,
)
from genrestream.workers.features.image import image_tensor
from genrestream.workers.features.terms import hashed_terms
from genrestream.workers.features.text import clean_fields, token_ids

log = logging.getLogger(__name__)

MAX_DETAIL_CHARS = 300


def extract(content: Content, plan: FeaturePlan, limits: FeatureLimits = DEFAULT_LIMITS) -> Extraction:
    """The tensors that the plan asks for, and why a modality gave none. Never raises for bad content.

    Raises MemoryError when the process has less memory left than the content takes, and FeatureSetupError
    when the plan itself cannot be carried out (a tokenizer file that is absent or not the one named): no item
    can be labelled then.
    """
    specs_by_modality: dict[Modality, list[Spec]] = {}
    for spec in plan.specs:
        specs_by_modality.setdefault(modality_of(spec), []).append(spec)
    tensors: dict[Spec, FeatureTensor] = {}
    missing: dict[Modality, Missing] = {}
    for modality, specs in specs_by_modality.items():
        try:
            readable = _readable(content, modality, plan, limits)
            tensors |= {spec: _tensor(readable, spec, plan, limits) for spec in specs}
        except MediaError as error:
            missing[modality] = Missing(error.reason, str(error)[:MAX_DETAIL_CHARS])
        except (MemoryError, FeatureSetupError):
            raise
        except Exception as error:
            # A hole in our own checks or in a decoder: it costs this modality and not the micro-batch.
            log.exception("the %s raised what no broken medium should", modality)
            missing[modality] = Missing(MissingReason.UNREADABLE, f"cannot be read: {type(error).__name__}")
    found = tuple(tensors.get(spec) for spec in plan.specs)
    return Extraction(found, missing, text_is_read=content.text_is_read)


def _readable(
    content: Content, modality: Modality, plan: FeaturePlan, limits: FeatureLimits
) -> tuple[str, ...] | bytes:
    """The cleaned text fields, or a medium's bytes if there are some and not too many."""
    if modality is Modality.TEXT:
        fields = clean_fields(content.text, plan.max_text_chars)
        if not fields:
            raise AbsentMedia("the item has no text")
        return fields
    data = content.image if modality is Modality.IMAGE else content.audio
    if data is None:
        raise AbsentMedia(f"the item has no {modality}")
    if not data:
        raise UnreadableMedia(f"the {modality} is empty")
    if len(data) > limits.max_media_bytes:
        raise MediaTooLarge(f"the {modality} has {len(data):,} bytes, allowed are {limits.max_media_bytes:,}")
    return data


def _tensor(
    readable: tuple[str, ...] | bytes, spec: Spec, plan: FeaturePlan, limits: FeatureLimits
) -> FeatureTensor:
    match readable, spec:
        case tuple() as fields, TextFeatures():
            path = plan.tokenizers.get(spec.tokenizer_sha256)
            if path is None:
                raise FeatureSetupError(f"the plan has no path for the tokenizer {spec.tokenizer_sha256}")
            return token_ids(fields, spec, path)
        case tuple() as fields, HashedTextFeatures():
            return hashed_terms(fields, spec)
        case bytes() as data, ImageFeatures():
            return image_tensor(data, spec, limits)
        case bytes() as data, AudioFeatures():
            return audio_tensor(data, spec, limits)
    raise TypeError(f"{type(spec).__name__} does not read {type(readable).__name__}")
