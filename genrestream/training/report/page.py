"""From findings to the page: one HTML file that needs nothing else, at most about 10 MB.

Titles, texts and labels are strangers' input: the template escapes everything that is not made here, and
the page's own policy lets no script run but the one it brings, and nothing be fetched.
"""

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from genrestream.schemas.items import Modality
from genrestream.training.bootstrap import DRAWS
from genrestream.training.gates import LEVEL
from genrestream.training.metrics import Predictions, Reliability, reliability
from genrestream.training.report.cards import LABEL_CHARS, mistake_cards
from genrestream.training.report.findings import Findings, Training
from genrestream.training.report.label_rows import estimate
from genrestream.training.report.media import MEDIA_BYTES, MediaShelf
from genrestream.training.report.pairs import MIN_PAIR_ITEMS, confused, most_frequent, together, worst_pairs
from genrestream.training.report.plots import (
    MIN_BIN_COUNT,
    curves_plot,
    heat_map,
    networks_plot,
    reliability_plot,
    slices_plot,
)
from genrestream.training.report.words import shortened

TEMPLATES = Path(__file__).with_name("templates")

FIGURES = {
    "mean_ap": "mAP",
    "micro_f1": "micro-F1",
    "macro_f1": "macro-F1",
    "sample_f1": "sample F1",
    "top1": "top-1",
    "top3": "top-3",
    "top5": "top-5",
    "at_least_one": "at least one right",
    "labels_given": "labels given",
    "hamming_loss": "Hamming loss",
    "ece": "ECE",
    "ece_top1": "ECE, best label",
}
"""The names that people use, in the order of the tables."""
COMPARED = ("top1", "top5", "mean_ap", "micro_f1", "macro_f1")
"""Of these, the ones by which a recipe's networks are compared."""


def render(findings: Findings, media_bytes: int = MEDIA_BYTES) -> bytes:
    """The page as UTF-8; pictures and sound take at most `media_bytes` of it."""
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["short"] = lambda text: shortened(text, LABEL_CHARS)
    page = environment.get_template("page.html.j2").render(
        findings=findings,
        release=findings.release,
        figure_names=FIGURES,
        compared=COMPARED,
        estimates=estimate(findings),
        rivals=_rivals(findings),
        mistakes=mistake_cards(findings, MediaShelf(media_bytes)),
        draws=DRAWS,
        level=LEVEL,
        style=Markup((TEMPLATES / "page.css").read_text(encoding="utf-8")),  # noqa: S704 - our own file
        script=Markup(script),  # noqa: S704 - our own file
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        **_plots(findings),
    )
    return page.encode("utf-8", "replace")


def _rivals(findings: Findings) -> list[str]:
    """What the slices' figures stand beside: each modality, and after it its branches."""
    modalities = list(Modality)

    def place(rival: str) -> tuple[int, bool]:
        return modalities.index(Modality(rival.partition(":")[0])), ":" in rival

    return sorted({rival: None for found in findings.beside.values() for rival in found.alone}, key=place)


def _plots(findings: Findings) -> Mapping[str, Any]:
    truth, predictions = findings.truth, findings.predictions
    labels = most_frequent(truth)
    names = [f"{findings.release.labels[place]}" for place in labels]
    every, best = _reliabilities(truth, predictions)
    parts = {
        name: _reliabilities(truth[part.rows], part.predictions) for name, part in findings.parts.items()
    }
    training = findings.training
    shown = {
        "reliability_svg": reliability_plot({"All labels": every, "Best label": best}),
        "slices_svg": slices_plot(parts) if parts else "",
        "curves_svg": _curves(training) if training else "",
        "together_svg": heat_map(together(truth, labels), names, "items with", "also have")
        if len(labels) > 1
        else "",
        "confused_svg": heat_map(
            confused(truth, predictions.decided, labels), names, "items with", "are given"
        )
        if len(labels) > 1
        else "",
    }
    return {
        **{name: Markup(svg) for name, svg in shown.items()},  # noqa: S704 - matplotlib escapes its text
        "pairs": worst_pairs(truth, predictions.decided, findings.release.labels, labels),
        "min_pair_items": MIN_PAIR_ITEMS,
        "matrix_labels": len(labels),
        "min_bin_count": MIN_BIN_COUNT,
    }


def _curves(training: Training) -> str:
    return networks_plot(training.networks) if training.networks else curves_plot(training.curves)


def _reliabilities(truth: Any, predictions: Predictions) -> tuple[Reliability, Reliability]:
    """Of all labels, and of the best one of each item."""
    confidences = predictions.confidences
    best = confidences.argmax(axis=1)
    # The best label of confidence 0 is no claim; `top_k_hits` sees it the same way.
    right = truth[np.arange(len(truth)), best] & (confidences.max(axis=1) > 0)
    return reliability(confidences.ravel(), truth.ravel()), reliability(confidences.max(axis=1), right)
