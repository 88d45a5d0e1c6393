"""Reading the records that lie beside the graphs."""

from pathlib import Path

from pydantic import ValidationError

from genrestream.repository.errors import RepositoryError
from genrestream.repository.layout import ENCODER_RECORD, RELEASE_RECORD, read_limited
from genrestream.repository.live import first_error
from genrestream.schemas.releases import EncoderRecord, Release


def read_encoder(directory: Path) -> EncoderRecord:
    """The record of an encoder's folder.

    Raises:
        RepositoryError: there is none, or it is not valid.
    """
    path = directory / ENCODER_RECORD
    try:
        return EncoderRecord.model_validate_json(read_limited(path))
    except ValidationError as error:
        raise RepositoryError(f"{path} is no encoder's record: {first_error(error)}") from error


def read_release(directory: Path) -> Release:
    """The record of a head's folder, released or candidate.

    Raises:
        RepositoryError: there is none, or it is not valid.
    """
    path = directory / RELEASE_RECORD
    try:
        return Release.model_validate_json(read_limited(path))
    except ValidationError as error:
        raise RepositoryError(f"{path} is no release's record: {first_error(error)}") from error


def read_record(directory: Path) -> EncoderRecord | Release:
    """The record of a version's folder, whichever it holds.

    Raises:
        RepositoryError: there is none, or it is not valid.
    """
    return read_encoder(directory) if (directory / ENCODER_RECORD).exists() else read_release(directory)
