"""The end of every training: the record, the page and all files of its candidate in the repository."""

import secrets

from genrestream.repository import GOLDEN, GRAPH, Candidate, add_candidate
from genrestream.repository.golden import pack_golden
from genrestream.repository.layout import PAGE
from genrestream.training.outcome import Outcome
from genrestream.training.record import REPORT, SPLIT, release_record, report_file, split_file
from genrestream.training.report.sources import training_page
from genrestream.training.request import TrainRequest
from genrestream.training.watch import Watch


def write_candidate(request: TrainRequest, outcome: Outcome, watch: Watch) -> Candidate:
    """The new candidate that `request` asked for; the last two laps of `watch` are taken.

    Raises:
        RepositoryError: it cannot be written; no part of it is left.
    """
    release = release_record(request, outcome)
    page = training_page(request, outcome, release)
    watch.lap("report")
    files = {
        GRAPH: outcome.graph,
        GOLDEN: pack_golden(outcome.golden),
        SPLIT: split_file(outcome.prepared),
        REPORT: report_file(request, outcome),
        PAGE: page,
    }
    run = f"{release.created_at:%Y%m%dt%H%M%S}-{secrets.token_hex(3)}"
    candidate = add_candidate(request.models, run, files, release)
    watch.lap("write")
    return candidate
