"""From catalogue sets to a recipe's candidate: features, training, comparison, evaluation, graphs.

Reads as the flow; each step is a module of its own.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from genrestream.repository import GOLDEN, GRAPH, Repository, add_candidate
from genrestream.repository.golden import Golden, pack_golden
from genrestream.schemas.features import FeatureSpec
from genrestream.schemas.items import Modality, text_fields_of
from genrestream.schemas.releases import EncoderRecord
from genrestream.schemas.tensors import PRESENCE, encoder_input
from genrestream.training.baselines import terms_alone
from genrestream.training.embeddings import embed
from genrestream.training.encode_chunk import Encoder
from genrestream.training.encoders.parity import cost_ms
from genrestream.training.errors import TrainingError
from genrestream.training.evaluate import evaluate_beside
from genrestream.training.export import check_parity
from genrestream.training.fit_head import fit_head
from genrestream.training.golden_rows import golden_inputs
from genrestream.training.metrics import Predictions
from genrestream.training.prepare import MIN_MODALITY_ITEMS, Prepared, labelled
from genrestream.training.recipes.branches import BranchFeatures, branch_features, feature_spec
from genrestream.training.recipes.compare import FittedNetwork, fit_compared
from genrestream.training.recipes.data import RecipeRows, read_rows
from genrestream.training.recipes.export import export_encoder, export_fused_head
from genrestream.training.recipes.report import Compared, recipe_report
from genrestream.training.recipes.spec import RecipeSpec, Vgg16
from genrestream.training.record import REPORT, SPLIT, release_record, split_file
from genrestream.training.request import Progress, TrainRequest
from genrestream.training.rivals import measure_gates
from genrestream.training.split import Fold
from genrestream.training.terms_size import hashed_features
from genrestream.training.train import Trained, Watch

CHECKED_ITEMS = 24
"""Test items on which a graph is compared with PyTorch."""


@dataclass(frozen=True, slots=True)
class TrainedRecipe(Trained):
    """A candidate, and its branches beside it."""

    compared: tuple[Compared, ...]
    """Each branch alone where there are several, and last all together."""


def train_recipe(
    request: TrainRequest, spec: RecipeSpec, progress: Progress = lambda step, done, total: None
) -> TrainedRecipe:
    """A candidate in the repository, and its encoders as versions; better than the labels' frequencies.

    Of `request.fit` the seed and the device count; all else of the fit is the recipe's.

    Raises:
        TrainingError: the sets or weights cannot be used, or the network collapsed; nothing is written then.
        RepositoryError, TaxonomyError, FeatureSetupError: as their modules say.
    """
    watch = Watch()
    catalogue, targets, split = labelled(request)
    prepared = Prepared(catalogue, targets, split, [], FeatureSpec())
    _refuse_lacking(prepared, spec)
    watch.lap("prepare")

    features = _branches(prepared, spec)
    prepared = replace(prepared, features=feature_spec(features))
    with TemporaryDirectory() as files:
        rows = read_rows(
            catalogue.examples,
            features,
            prepared.features.max_text_chars,
            Path(files),
            request.store,
            lambda done, total: progress("features", done, total),
        )
    watch.lap("features")

    networks = fit_compared(request, spec, features, rows, targets.has, split, progress)
    fitted = networks[-1]
    watch.lap("fit")

    evaluation = evaluate_beside(
        words_alone(request, prepared, progress),
        fitted.predict,
        fitted.network.modalities,
        fitted.embedded.presence,
        targets.has,
        split,
        fitted.thresholds,
    )
    gates = measure_gates(request, prepared, evaluation)
    watch.lap("evaluate")

    graphs = _encoder_graphs(fitted, features, rows, split[Fold.TEST])
    costs = _costs_ms(graphs, features, rows, split[Fold.TEST])
    compared = tuple(Compared(found.name, found.test, found.curves, found.sets, costs) for found in networks)
    head = export_fused_head(fitted.network.head, fitted.network.embedding_dims, len(targets.labels))
    inputs, chosen = golden_inputs(fitted.embedded, split[Fold.TEST], None, fitted.network.modalities)
    golden = Golden(inputs, check_parity(head, inputs, fitted.predict(chosen, inputs[PRESENCE])))
    prepared = replace(prepared, encoders=_add_encoders(request, spec, fitted, features, graphs))
    release = release_record(
        request, prepared, fitted.network.modalities, fitted.thresholds, evaluation, gates
    )
    files_of_head = {
        GRAPH: head,
        GOLDEN: pack_golden(golden),
        SPLIT: split_file(prepared),
        REPORT: recipe_report(request, prepared, spec, compared, evaluation, rows.unreadable),
    }
    run = f"{release.created_at:%Y%m%dt%H%M%S}-{secrets.token_hex(3)}"
    candidate = add_candidate(request.models, run, files_of_head, release)
    watch.lap("export")
    return TrainedRecipe(
        candidate,
        evaluation,
        targets.left_out,
        catalogue.unlabelled,
        rows.unreadable,
        watch.seconds,
        compared,
    )


def words_alone(request: TrainRequest, prepared: Prepared, progress: Progress) -> Predictions | None:
    """The linear TF-IDF model on the test fold, which every head has to beat; None where items lack texts."""
    if prepared.catalogue.modalities()[Modality.TEXT] < MIN_MODALITY_ITEMS:
        return None
    targets, split = prepared.targets, prepared.split
    hashed = hashed_features(len(targets.labels), request.word_buckets)
    max_text_chars = prepared.features.max_text_chars
    terms = embed(prepared.catalogue.examples, [], hashed, max_text_chars, request.store).rows
    fitted = fit_head(
        terms,
        targets.has,
        split,
        prepared.groups,
        request.fit,
        lambda done, total: progress("training TF-IDF to compare with", done, total),
    )
    return terms_alone(fitted, terms.presence, targets.has, split, request.fit.seed)


def _refuse_lacking(prepared: Prepared, spec: RecipeSpec) -> None:
    counts = prepared.catalogue.modalities()
    for modality in spec.branches:
        if counts[modality] < MIN_MODALITY_ITEMS:
            raise TrainingError(
                f"{spec.name} needs {modality}, and {counts[modality]} items have it; "
                f"at least {MIN_MODALITY_ITEMS} must"
            )


def _branches(prepared: Prepared, spec: RecipeSpec) -> dict[Modality, BranchFeatures]:
    examples = prepared.catalogue.examples
    texts = [text_fields_of(examples[row].item) for row in prepared.split[Fold.TRAIN]]
    max_text_chars = prepared.features.max_text_chars
    return {
        modality: branch_features(branch, texts, max_text_chars) for modality, branch in spec.branches.items()
    }


def _encoder_graphs(
    fitted: FittedNetwork,
    features: Mapping[Modality, BranchFeatures],
    rows: RecipeRows,
    test: NDArray[np.int64],
) -> dict[Modality, bytes]:
    """Each encoder's graph, compared with PyTorch on test items that have its modality."""
    graphs = {}
    for modality in fitted.network.modalities:
        some = test[rows.places[modality][test] >= 0][:CHECKED_ITEMS]
        if not len(some):
            raise TrainingError(f"no test item has a readable {modality} to check the encoder with")
        expected = fitted.embedded.embeddings[modality][some]
        inputs = rows.batch(some, "cpu")[modality]
        graphs[modality] = export_encoder(fitted.network, modality, features[modality], inputs, expected)
    return graphs


def _costs_ms(
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


def _add_encoders(
    request: TrainRequest,
    spec: RecipeSpec,
    fitted: FittedNetwork,
    features: Mapping[Modality, BranchFeatures],
    graphs: Mapping[Modality, bytes],
) -> list[Encoder]:
    """The encoders as new versions in the repository, last of all that can fail."""
    repository = Repository(request.models)
    added = []
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
        complete = repository.add_encoder({GRAPH: graph, **found.beside}, record)
        added.append(Encoder(complete, repository.version_dir(complete.model, complete.version)))
    return added


def _source(spec: RecipeSpec, modality: Modality, sets: Sequence[Path]) -> str:
    branch = spec.branches[modality]
    began = f", from the weights {branch.weights}" if isinstance(branch, Vgg16) else ""
    return f"recipe {spec.name} on {', '.join(folder.name for folder in sets)}{began}"
