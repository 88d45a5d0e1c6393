"""New versions and candidates: a folder is written under a temporary name and renamed when complete."""

import contextlib
import errno
import secrets
import shutil
import time
from collections.abc import Mapping
from pathlib import Path, PurePath

from genrestream.repository.atomic import fill_folder, sync
from genrestream.repository.checksums import folder_checksums
from genrestream.repository.choices import Candidate
from genrestream.repository.config import signature
from genrestream.repository.errors import RepositoryError
from genrestream.repository.layout import (
    CONFIG,
    ENCODER_RECORD,
    RECORDS,
    RELEASE_RECORD,
    UNFINISHED,
    candidates_dir,
    head_name,
    model_dir,
    version_numbers,
)
from genrestream.repository.records import read_record
from genrestream.schemas.releases import EncoderRecord, Release

MAX_FILES = 64
"""Files of one version."""

MAX_MODELS = 50
"""Models of one name that differ in their tensors."""

MAX_TRIES = 20
"""How often the next version number is tried while others add versions to the same model."""

UNFINISHED_MAX_AGE_S = 3600.0
"""A temporary folder older than this was left by a process that died."""


def free_model(root: Path, record: EncoderRecord | Release) -> str:
    """The model that can take the record as its next version: the record's own, else `name.2`, `name.3`, ...

    All versions of a Triton model share one configuration, so a record whose tensors differ from those of
    the versions that are there (other labels, another embedding size) goes to a model beside them.

    Raises:
        RepositoryError: a version that is there has no valid record, or too many names are taken.
    """
    for number in range(1, MAX_MODELS + 1):
        model = record.model if number == 1 else f"{record.model}.{number}"
        there = version_numbers(model_dir(root, model))
        if not there or _fits(record, read_record(model_dir(root, model) / str(there[-1]))):
            return model
    raise RepositoryError(f"{MAX_MODELS} models are named like {record.model} in {root}; remove the unused")


def add_version(
    root: Path, model: str, files: Mapping[str, bytes | Path], record: EncoderRecord | Release
) -> int:
    """The number of the version that now holds the files and the record.

    The record's `version` and `checksums` are filled in here; what it held there is ignored. The folder
    appears complete or not at all, and no version is ever replaced.

    Raises:
        RepositoryError: a name is not allowed, the tensors differ from those of the versions that are
            there, a file cannot be read, or the folder cannot be written.
    """
    _check_names(model, files, record)
    parent = model_dir(root, model)
    there = version_numbers(parent)
    if there and not _fits(record, read_record(parent / str(there[-1]))):
        raise RepositoryError(f"the versions of {model} take or give other tensors; use another name")
    try:
        with _Unfinished(parent) as unfinished:
            fill_folder(unfinished.path, files)
            checksums = folder_checksums(unfinished.path)
            for _ in range(MAX_TRIES):
                version = max(version_numbers(parent), default=0) + 1
                complete = record.model_copy(update={"version": version, "checksums": checksums})
                unfinished.write_record(complete)
                if unfinished.rename(parent / str(version)):
                    return version
    except OSError as error:
        raise RepositoryError(
            f"cannot add a version to {parent}: {error.strerror} ({error.filename})"
        ) from error
    raise RepositoryError(f"cannot add a version to {parent}: too many others are adding versions to it")


def remove_version(root: Path, model: str, version: int) -> None:
    """Take a version's folder away, in one step; with the last one goes the model's folder, if nothing else
    lies there but Triton's configuration.

    Raises:
        RepositoryError: the folder cannot be renamed or removed.
    """
    parent = model_dir(root, model)
    gone = parent / f"{UNFINISHED}{secrets.token_hex(6)}"
    try:
        (parent / str(version)).rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
        if not version_numbers(parent):
            (parent / CONFIG).unlink(missing_ok=True)
            if not any(parent.iterdir()):
                parent.rmdir()
    except OSError as error:
        raise RepositoryError(f"cannot remove {parent / str(version)}: {error.strerror}") from error


def add_candidate(root: Path, run: str, files: Mapping[str, bytes | Path], release: Release) -> Candidate:
    """The new candidate of the head that `release.model` names; `run` names it and must be new.

    The record's `checksums` are filled in here; its `version` means nothing until it is released.

    Raises:
        RepositoryError: a name is not allowed or taken, or the folder cannot be written.
    """
    head = head_name(release.kind, release.task)
    _check_names(head, files, release)
    parent = candidates_dir(root, head)
    target = model_dir(parent, run)
    try:
        with _Unfinished(parent) as unfinished:
            fill_folder(unfinished.path, files)
            checksums = folder_checksums(unfinished.path)
            complete = release.model_copy(update={"checksums": checksums})
            unfinished.write_record(complete)
            if not unfinished.rename(target):
                raise RepositoryError(f"the candidate {run} of {head} is there already")
    except OSError as error:
        raise RepositoryError(f"cannot write {target}: {error.strerror} ({error.filename})") from error
    return Candidate(run, target, complete)


def _check_names(model: str, files: Mapping[str, bytes | Path], record: EncoderRecord | Release) -> None:
    if record.model != model:
        raise RepositoryError(f"the record is {record.model}'s, not {model}'s")
    if not 1 <= len(files) <= MAX_FILES:
        raise RepositoryError(f"a version holds 1 to {MAX_FILES} files, not {len(files)}")
    for name in files:
        if not name or PurePath(name).name != name or name.startswith(".") or name in RECORDS:
            raise RepositoryError(f"no name for a file of a version: {name!r}")


def _fits(record: EncoderRecord | Release, there: EncoderRecord | Release) -> bool:
    """Whether two records can be versions of one model."""
    if isinstance(record, Release) and isinstance(there, Release):
        same_use = (record.kind, record.task) == (there.kind, there.task)
    elif isinstance(record, EncoderRecord) and isinstance(there, EncoderRecord):
        same_use = record.modality == there.modality
    else:
        same_use = False
    return same_use and signature(record) == signature(there)


class _Unfinished:
    """A temporary folder beside its target; removed on leaving unless it was renamed."""

    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self.path = parent / f"{UNFINISHED}{secrets.token_hex(6)}"

    def __enter__(self) -> "_Unfinished":
        self._parent.mkdir(parents=True, exist_ok=True)
        self._remove_left_ones()
        self.path.mkdir()
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def write_record(self, record: EncoderRecord | Release) -> None:
        name = ENCODER_RECORD if isinstance(record, EncoderRecord) else RELEASE_RECORD
        (self.path / name).unlink(missing_ok=True)
        fill_folder(self.path, {name: record.model_dump_json(indent=2).encode() + b"\n"})

    def rename(self, target: Path) -> bool:
        """Give the folder its name; False if another folder has it already."""
        try:
            self.path.rename(target)
        except OSError as error:
            if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                return False
            raise
        sync(self._parent)
        return True

    def _remove_left_ones(self) -> None:
        oldest = time.time() - UNFINISHED_MAX_AGE_S
        for left in self._parent.glob(f"{UNFINISHED}*"):
            with contextlib.suppress(FileNotFoundError):  # Its writer finished in this moment.
                if left.stat().st_mtime < oldest:
                    shutil.rmtree(left, ignore_errors=True)
