"""From catalogue sets to a recipe's candidate: features, training, comparison, evaluation, graphs.

Reads as the flow; each step is a module of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from genrestream.schemas.features import PictureTextFeatures
from genrestream.schemas.items import Modality
from genrestream.training.baselines import terms_alone
from genrestream.training.beside_branches import beside_branches
from genrestream.training.candidate import write_candidate
from genrestream.training.catalogue import Example
from genrestream.training.embeddings import embed
from genrestream.training.errors import TrainingError
from genrestream.training.evaluate import evaluate_beside
from genrestream.training.fit_head import fit_head
from genrestream.training.golden_rows import golden_batch
from genrestream.training.losses import LossName
from genrestream.training.metrics import Predictions
from genrestream.training.outcome import Outcome
from genrestream.training.picture_texts import ReadExamples, read_picture_texts
from genrestream.training.prepare import MIN_MODALITY_ITEMS, Prepared, labelled
from genrestream.training.processes import leave_to_first
from genrestream.training.recipes.branches import feature_spec, features_by_modality
from genrestream.training.recipes.compare import fit_compared
from genrestream.training.recipes.data import read_rows
from genrestream.training.recipes.encoders import added_encoders, costs_ms, encoder_graphs
from genrestream.training.recipes.export import export_fused_head
from genrestream.training.recipes.report import Compared, recipe_details
from genrestream.training.recipes.spec import RecipeSpec
from genrestream.training.request import Progress, TrainRequest, refuse_unnameable
from genrestream.training.rivals import measure_gates
from genrestream.training.skipped import skipped
from genrestream.training.split import Fold
from genrestream.training.terms_size import hashed_features
from genrestream.training.train import Trained
from genrestream.training.watch import Watch


@dataclass(frozen=True, slots=True)
class TrainedRecipe(Trained):
    """A candidate, and its branches beside it."""

    compared: tuple[Compared, ...] = ()
    """Each branch alone where there are several, and last all together."""


def train_recipe(
    request: TrainRequest, spec: RecipeSpec, progress: Progress = lambda step, done, total: None
) -> TrainedRecipe:
    """A candidate in the repository, and its encoders as versions; better than the labels' frequencies.

    Of `request.fit` the seed and the device count; all else of the fit is the recipe's. Of several processes
    that have joined, the first returns and the others end.

    Raises:
        TrainingError: the name, the sets or weights cannot be used, or the network collapsed; nothing is
            written then.
        RepositoryError, TaxonomyError, FeatureSetupError: as their modules say.
    """
    refuse_unnameable(request)
    watch = Watch()
    request = replace(request, keep_labels=spec.balance.keep_labels)
    prepared = labelled(request, progress)
    targets, split = prepared.targets, prepared.split
    _refuse_lacking(prepared, spec)
    watch.lap("prepare")

    shown = _shown(request, prepared, spec, progress)
    features = features_by_modality(
        spec.branches, shown.examples, split[Fold.TRAIN], prepared.features.max_text_chars
    )
    prepared = replace(prepared, features=feature_spec(features, shown.picture_text))
    with TemporaryDirectory() as files:
        rows = read_rows(
            shown.examples,
            features,
            prepared.features.max_text_chars,
            Path(files),
            request.store,
            lambda done, total: progress("features", done, total),
        )
    watch.lap("features")

    networks = fit_compared(request, spec, features, rows, targets.has, split, progress)
    leave_to_first()
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
    beside = beside_branches(evaluation.parts, targets.has, prepared.groups, request.fit.seed)
    gates = measure_gates(request, prepared, evaluation, beside)
    watch.lap("evaluate")

    graphs = encoder_graphs(fitted, features, rows, split[Fold.TEST])
    costs = costs_ms(graphs, features, rows, split[Fold.TEST])
    if shown.picture_text_ms is not None:
        costs[Modality.TEXT] += shown.picture_text_ms
    compared = tuple(Compared(found.name, found.test, found.curves, found.sets, costs) for found in networks)
    head = export_fused_head(fitted.network.head, fitted.network.embedding_dims, len(targets.labels))
    golden = golden_batch(
        head, fitted.predict, fitted.embedded, split[Fold.TEST], None, fitted.network.modalities
    )
    with added_encoders(request, spec, prepared, fitted, features, graphs) as encoders:
        prepared = replace(prepared, encoders=encoders)
        watch.lap("export")

        outcome = Outcome(
            prepared,
            fitted.network.modalities,
            fitted.thresholds,
            evaluation,
            beside,
            gates,
            head,
            golden,
            fitted.embedded,
            rows.unreadable,
            curves=(),
            fit={"recipe": spec.name, **spec.fit.model_dump(), "seed": request.fit.seed},
            details={**recipe_details(request, spec, compared), "picture_text_ms": shown.picture_text_ms},
        )
        candidate = write_candidate(request, outcome, watch)
    return TrainedRecipe(
        candidate,
        evaluation,
        prepared,
        skipped(outcome),
        watch.seconds,
        picture_text_ms=shown.picture_text_ms,
        compared=compared,
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
        # The rival is the same whatever loss was asked for.
        replace(request.fit, loss=LossName.BCE),
        lambda done, total: progress("training TF-IDF to compare with", done, total),
    )
    return terms_alone(fitted, terms.presence, targets.has, split, request.fit.seed)


def _refuse_lacking(prepared: Prepared, spec: RecipeSpec) -> None:
    counts = prepared.catalogue.modalities()
    named = {Modality.IMAGE} if spec.text_from == "picture" else set(spec.branches)
    for modality in spec.branches.keys() & named:
        if counts[modality] < MIN_MODALITY_ITEMS:
            raise TrainingError(
                f"{spec.name} needs {modality}, and {counts[modality]} items have it; "
                f"at least {MIN_MODALITY_ITEMS} must"
            )


@dataclass(frozen=True, slots=True)
class _Shown:
    """What the branches are shown."""

    examples: Sequence[Example]
    picture_text: PictureTextFeatures | None = None
    picture_text_ms: float | None = None
    """What it costs one core to read a picture."""


def _shown(request: TrainRequest, prepared: Prepared, spec: RecipeSpec, progress: Progress) -> _Shown:
    """The items, for some recipes with what stands in their pictures in the place of their texts."""
    examples = prepared.catalogue.examples
    if spec.text_from == "item":
        return _Shown(examples)
    reading = PictureTextFeatures(when="always")
    texts = read_picture_texts(
        examples, reading, request.store, lambda done, total: progress("reading pictures", done, total)
    )
    return _Shown(ReadExamples(examples, texts), reading, texts.ms)
