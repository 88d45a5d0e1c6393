"""What can go wrong in training and releasing, as one line for people."""

from collections.abc import Iterator
from contextlib import contextmanager

from genrestream.cli.errors import CommandError
from genrestream.repository import RepositoryError
from genrestream.schemas.taxonomy import TaxonomyError
from genrestream.training.errors import TrainingError
from genrestream.workers.features.errors import FeatureSetupError


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn the errors of training and of the model repository into `CommandError`."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise CommandError(
            f"{error.name} is not installed; training needs its extra: `make setup-training` installs it"
        ) from error
    except (TrainingError, RepositoryError, TaxonomyError, FeatureSetupError) as error:
        raise CommandError(str(error)) from error
