"""Reading a model repository, and changing it: promotion, the live pointer, Triton's configuration."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from pathlib import Path

from genrestream.repository.atomic import write_atomically
from genrestream.repository.checksums import verify_checksums
from genrestream.repository.choices import Candidate, HeadChoice
from genrestream.repository.config import encoder_config, head_config
from genrestream.repository.errors import RepositoryError
from genrestream.repository.layout import (
    CANDIDATES,
    CONFIG,
    LIVE_POINTER,
    candidates_dir,
    head_name,
    is_model_name,
    model_dir,
    page_path,
    version_dir,
    version_numbers,
)
from genrestream.repository.live import LivePointer, ModelVersion, next_pointer, read_live, write_live
from genrestream.repository.records import read_encoder, read_record, read_release
from genrestream.repository.versions import add_version, free_model, remove_version
from genrestream.schemas.items import Kind
from genrestream.schemas.releases import EncoderRecord, Release, ReleaseAction


class Repository:
    """A model repository; every method reads the disk, so it is always up to date.

    A *head* is named `{kind}-{task}`. Its versions lie in the Triton model of that name, and in `{head}.2`
    and so on once its labels or encoders have changed: all versions of one model share their tensors.
    All methods raise `RepositoryError` with one line that says what is wrong.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    # Models and versions

    def models(self) -> list[str]:
        """The names of all models with at least one version, sorted."""
        if not self.root.is_dir():
            raise RepositoryError(f"no model repository at {self.root}")
        return sorted(
            path.name for path in self.root.iterdir() if is_model_name(path.name) and version_numbers(path)
        )

    def versions(self, model: str) -> list[int]:
        """The versions of a model, ascending; empty if there is no such model."""
        return version_numbers(model_dir(self.root, model))

    def version_dir(self, model: str, version: int) -> Path:
        """The folder of a version that is there."""
        directory = version_dir(self.root, model, version)
        if not directory.is_dir():
            raise RepositoryError(f"no version {version} of {model} in {self.root}")
        return directory

    def verify(self, model: str, version: int) -> None:
        """Compare the files of a version with the checksums of its record."""
        directory = self.version_dir(model, version)
        verify_checksums(directory, read_record(directory).checksums)

    # Encoders

    def encoders(self) -> list[EncoderRecord]:
        """The records of all encoders and all their versions, by name and version."""
        return [record for record in self._records() if isinstance(record, EncoderRecord)]

    def encoder(self, model: str, version: int) -> EncoderRecord:
        """The record of an encoder's version."""
        directory = self.version_dir(model, version)
        _check_place(record := read_encoder(directory), directory)
        return record

    def newest_encoder(self, model: str) -> EncoderRecord:
        """The record of an encoder's newest version."""
        versions = self.versions(model)
        if not versions:
            raise RepositoryError(f"no encoder {model} in {self.root}")
        return self.encoder(model, versions[-1])

    def add_encoder(self, files: Mapping[str, bytes | Path], record: EncoderRecord) -> EncoderRecord:
        """The complete record of the encoder's new version, with Triton's configuration written.

        The model is the record's own, or one beside it if the tensors differ (see `free_model`).
        """
        model = free_model(self.root, record)
        version = add_version(self.root, model, files, record.model_copy(update={"model": model}))
        try:
            self.write_config(model)
            return self.encoder(model, version)
        except BaseException:
            self.withdraw(model, version)
            raise

    def withdraw(self, model: str, version: int) -> None:
        """Take away a version that nothing uses yet, and its name out of Triton's configuration; with the
        model's last version goes its folder."""
        remove_version(self.root, model, version)
        if self.versions(model):
            self.write_config(model)

    # Heads

    def heads(self) -> list[str]:
        """The names of the heads that have a version or a candidate, sorted."""
        released = {
            head_name(record.kind, record.task) for record in self._records() if isinstance(record, Release)
        }
        trained = self.root / CANDIDATES
        names = {path.name for path in trained.iterdir()} if trained.is_dir() else set()
        return sorted(released | {head for head in names if self.candidates(head)})

    def release(self, model: str, version: int) -> Release:
        """The record of a head's version."""
        directory = self.version_dir(model, version)
        _check_place(record := read_release(directory), directory)
        return record

    def releases(self, head: str) -> list[Release]:
        """All released versions of a head, whatever their model, the oldest first."""
        found = [
            record
            for record in self._records()
            if isinstance(record, Release) and head_name(record.kind, record.task) == head
        ]
        return sorted(found, key=lambda release: (release.created_at, release.model, release.version))

    def candidates(self, head: str) -> list[Candidate]:
        """The head's trained candidates, the oldest first."""
        parent = candidates_dir(self.root, head)
        if not parent.is_dir():
            return []
        runs = (path for path in parent.iterdir() if path.is_dir() and path.name[0] != ".")
        found = [Candidate(path.name, path, read_release(path)) for path in runs]
        return sorted(found, key=lambda candidate: (candidate.release.created_at, candidate.run))

    def newest(self, kind: Kind | None = None) -> list[HeadChoice]:
        """The version to use of each head, of one kind or of all: what `classify` runs.

        It is the live version, or a candidate if one was trained after the live pointer was written.
        """
        choices = (self._newest_of(head) for head in self.heads())
        return [choice for choice in choices if choice and kind in {None, choice.release.kind}]

    def _newest_of(self, head: str) -> HeadChoice | None:
        live = self.live(head)
        candidates = self.candidates(head)
        if candidates and (live is None or candidates[-1].release.created_at > live.announced_at):
            newest = candidates[-1]
            return HeadChoice(newest.directory, newest.release, newest.run)
        if live is None:
            return None
        directory = self.version_dir(live.model, live.version)
        return HeadChoice(directory, self.release(live.model, live.version), run=None)

    def promote(self, candidate: Candidate, forced: Sequence[str] = ()) -> Release:
        """The complete record of the version that the candidate became, with Triton's configuration written.

        `forced` are the reasons against it, for its record.

        The release's `model` is the head's name, or one beside it if the tensors differ (see `free_model`).
        The candidate stays, so that a release that fails can be tried again. Nothing is live yet.
        """
        verify_checksums(candidate.directory, candidate.release.checksums)
        model = free_model(self.root, candidate.release)
        release = candidate.release.model_copy(update={"model": model, "forced": tuple(forced)})
        version = add_version(self.root, model, candidate.files, release)
        self.write_config(model, {version, *self.served_versions(model)})
        return self.release(model, version)

    def keep_page(self, candidate: Candidate, release: Release) -> None:
        """Copy the candidate's report for people, if it has one, to where `page` looks for it."""
        source = candidate.page
        if source is None:
            return
        target = page_path(self.root, release.model, release.version)
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(target, source.read_bytes())
        except OSError as error:
            raise RepositoryError(f"cannot write {target}: {error.strerror}") from error

    def page(self, model: str, version: int) -> Path | None:
        """The report of a version for people; None if it has none."""
        path = page_path(self.root, model, version)
        return path if path.is_file() else None

    # What is live, and what Triton serves

    def live(self, head: str) -> LivePointer | None:
        """Which version of a head is live, or None if it was never released."""
        return read_live(model_dir(self.root, head))

    def set_live(self, release: Release, action: ReleaseAction, announced_at: datetime) -> LivePointer:
        """The new live pointer; the version that was live before becomes its `previous`."""
        self.version_dir(release.model, release.version)
        directory = model_dir(self.root, head_name(release.kind, release.task))
        live = ModelVersion(model=release.model, version=release.version)
        pointer = next_pointer(read_live(directory), live, action, announced_at)
        write_live(directory, pointer)
        return pointer

    def restore_live(self, head: str, pointer: LivePointer | None) -> None:
        """Put back the pointer that was there before; None: the head is live no more."""
        directory = model_dir(self.root, head)
        if pointer is not None:
            write_live(directory, pointer)
        else:
            (directory / LIVE_POINTER).unlink(missing_ok=True)

    def served(self) -> dict[str, list[int]]:
        """What Triton has to hold, versions by model: live heads, those before them, and their encoders."""
        versions: dict[str, set[int]] = {}
        for head in self.heads():
            live = self.live(head)
            if live is None:
                continue
            for at in live.served:
                if at is live.previous and at.version not in self.versions(at.model):
                    continue  # An old version may be removed to save space; the live one may not.
                versions.setdefault(at.model, set()).add(at.version)
                for encoder in self.release(at.model, at.version).encoders.values():
                    versions.setdefault(encoder.model, set()).add(encoder.version)
        return {model: sorted(versions[model]) for model in sorted(versions)}

    def served_versions(self, model: str) -> list[int]:
        """The versions that the model's configuration names, ascending.

        Those of `served`; of an encoder also the newest, and of a head that is not live the newest alone.
        """
        there = self.versions(model)
        if not there:
            raise RepositoryError(f"no model {model} in {self.root}")
        served = self.served().get(model, [])
        if served and isinstance(read_record(self.version_dir(model, there[-1])), Release):
            return served
        return sorted({*served, there[-1]})

    def write_config(self, model: str, versions: Iterable[int] | None = None) -> None:
        """Write the model's `config.pbtxt` for the given versions, else for `served_versions`."""
        served = sorted(self.served_versions(model) if versions is None else set(versions))
        directory = self.version_dir(model, served[-1])
        _check_place(record := read_record(directory), directory)
        if isinstance(record, EncoderRecord):
            text = encoder_config(record, served)
        else:
            text = head_config(record, served)
        path = directory.parent / CONFIG
        try:
            # Written only when it says something else, so that a read-only repository can be served.
            if not path.is_file() or path.read_bytes() != text.encode():
                write_atomically(path, text.encode())
        except OSError as error:
            raise RepositoryError(f"cannot write {path}: {error.strerror}") from error

    def _records(self) -> Iterable[EncoderRecord | Release]:
        """The records of all versions of all models, by name and version."""
        for model in self.models():
            for version in self.versions(model):
                directory = version_dir(self.root, model, version)
                _check_place(record := read_record(directory), directory)
                yield record


def _check_place(record: EncoderRecord | Release, directory: Path) -> None:
    """Raise unless the record is that of the version in whose folder it lies."""
    if (record.model, str(record.version)) != (directory.parent.name, directory.name):
        raise RepositoryError(f"{directory} holds the record of {record.model} {record.version}")
