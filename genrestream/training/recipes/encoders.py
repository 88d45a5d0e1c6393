"""A trained network's encoders: as graphs, what an item costs them, and as versions in the repository."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from genrestream.repository import GRAPH, Repository
from genrestream.schemas.items import Modality
from genrestream.schemas.releases import EncoderRecord
from genrestream.schemas.tensors import encoder_input
from genrestream.training.encode_chunk import Encoder
from genrestream.training.encoders.parity import cost_ms
from genrestream.training.errors import TrainingError
from genrestream.training.frozen_split import SPLIT
from genrestream.training.prepare import Prepared
from genrestream.training.recipes.branches import BranchFeatures
from genrestream.training.recipes.compare import FittedNetwork
from genrestream.training.recipes.data import RecipeRows
from genrestream.training.recipes.export import export_encoder
from genrestream.training.recipes.spec import RecipeSpec, Vgg16
from genrestream.training.record import split_file
from genrestream.training.request import TrainRequest

CHECKED_ITEMS = 24
"""Test items on which a graph is compared with PyTorch."""


def encoder_graphs(
    fitted: FittedNetwork,
    features: Mapping[Modality, BranchFeatures],
    rows: RecipeRows,
    test: NDArray[np.int64],
) -> dict[Modality, bytes]:
    """Each encoder's graph, compared with PyTorch on test items that have its modality.

    Raises:
        TrainingError: a graph gives something else, or no test item has the modality.
    """
    graphs = {}
    for modality in fitted.network.modalities:
        some = test[rows.places[modality][test] >= 0][:CHECKED_ITEMS]
        if not len(some):
            raise TrainingError(f"no test item has a readable {modality} to check the encoder with")
        expected = fitted.embedded.embeddings[modality][some]
        inputs = rows.batch(some, "cpu")[modality]
        graphs[modality] = export_encoder(fitted.network, modality, features[modality], inputs, expected)
    return graphs


def costs_ms(
    graphs: Mapping[Modality, bytes],
    features: Mapping[Modality, BranchFeatures],
    rows: RecipeRows,
    test: NDArray[np.int64],
) -> dict[Modality, float]:
    """What a test item costs each encoder on one thread, in milliseconds."""
    costs = {}
    with TemporaryDirectory() as folder:
        for modality, graph in graphs.items():
            path = Path(folder) / f"{modality}.onnx"
            path.write_bytes(graph)
            one = test[rows.places[modality][test] >= 0][:1]
            name = encoder_input(features[modality].features).name
            costs[modality] = cost_ms(path, {name: rows.batch(one, "cpu")[modality].numpy()})
    return costs


@contextmanager
def added_encoders(
    request: TrainRequest,
    spec: RecipeSpec,
    prepared: Prepared,
    fitted: FittedNetwork,
    features: Mapping[Modality, BranchFeatures],
    graphs: Mapping[Modality, bytes],
) -> Iterator[list[Encoder]]:
    """The encoders as new versions in the repository; an error within withdraws these very versions.

    Beside each lie the folds that it learnt from: no other head is then measured on these items.

    Raises:
        RepositoryError: one of them cannot be written; none is left.
    """
    repository = Repository(request.models)
    split = split_file(prepared)
    added = []
    with ExitStack() as undo:
        for modality, graph in graphs.items():
            found = features[modality]
            record = EncoderRecord(
                model=f"{modality}-{spec.name}",
                version=1,
                modality=modality,
                features=found.features,
                embedding_dim=fitted.network.embedding_dims[modality],
                source=_source(spec, modality, request.sets),
                licence="that of its training items",
                checksums={},
                created_at=datetime.now(UTC).replace(microsecond=0),
            )
            complete = repository.add_encoder({GRAPH: graph, SPLIT: split, **found.beside}, record)
            undo.callback(repository.withdraw, complete.model, complete.version)
            added.append(Encoder(complete, repository.version_dir(complete.model, complete.version)))
        yield added
        undo.pop_all()


def _source(spec: RecipeSpec, modality: Modality, sets: Sequence[Path]) -> str:
    branch = spec.branches[modality]
    began = f", from the weights {branch.weights}" if isinstance(branch, Vgg16) else ""
    return f"recipe {spec.name} on {', '.join(folder.name for folder in sets)}{began}"
