"""Which encoders a head is trained on: for each modality that the items have, the best there is."""

from collections.abc import Mapping, Sequence

from genrestream.repository import Repository
from genrestream.schemas.items import Modality
from genrestream.schemas.releases import EncoderRecord
from genrestream.training.encode_chunk import Encoder
from genrestream.training.errors import TrainingError

PRETRAINED: Mapping[Modality, str] = {
    Modality.TEXT: "text-e5-small-v2",
    Modality.IMAGE: "image-efficientnet-lite0",
    Modality.AUDIO: "audio-musicnn",
}
STARTER: Mapping[Modality, str] = {modality: f"{modality}-starter" for modality in Modality}

AUTO = "auto"


def choose_encoders(repository: Repository, choice: str, modalities: Sequence[Modality]) -> list[Encoder]:
    """An encoder for each modality; `choice` is auto, starter, pretrained, or model names with commas.

    Auto takes the pretrained one where there is one, else the starter. Named models decide the modalities:
    those without an encoder are left out, but text can still be heard through hashed terms.

    Raises:
        TrainingError: an encoder is missing, or named and unusable.
        RepositoryError: the repository cannot be read.
    """
    if choice in {AUTO, "starter", "pretrained"}:
        return [_by_rule(repository, choice, modality) for modality in modalities]
    chosen: dict[Modality, EncoderRecord] = {}
    for name in choice.split(","):
        record = repository.newest_encoder(name.strip())
        if record.modality in chosen:
            raise TrainingError(
                f"two encoders for {record.modality}: {chosen[record.modality].model}, {name}"
            )
        if record.modality in modalities:
            chosen[record.modality] = record
    return [_with_folder(repository, record) for record in chosen.values()]


def _by_rule(repository: Repository, choice: str, modality: Modality) -> Encoder:
    wanted = {
        AUTO: [PRETRAINED[modality], STARTER[modality]],
        "starter": [STARTER[modality]],
        "pretrained": [PRETRAINED[modality]],
    }[choice]
    for name in wanted:
        if repository.versions(name):
            return _with_folder(repository, repository.newest_encoder(name))
    raise TrainingError(
        f"no encoder for {modality} in {repository.root}: `genrestream encoders build` makes {wanted[0]}"
    )


def _with_folder(repository: Repository, record: EncoderRecord) -> Encoder:
    return Encoder(record, repository.version_dir(record.model, record.version))
