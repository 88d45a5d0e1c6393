"""What the guides for ingest and recommender teams say is what the code holds."""

import re
from pathlib import Path

import pytest

from genrestream.schemas import DeadLetterCode, LabelRecord, item_model
from genrestream.schemas.dead_letter_docs import documentation, meaning_and_remedy
from genrestream.schemas.headers import ALL_SCORES, ATTEMPTS, FIRST_OFFSET, FORCE, REVISION, SCANNED_TO
from genrestream.schemas.items import MAX_ID_CHARS, MAX_INLINE_MEDIA_BYTES, MEDIA_FIELDS, TEXT_FIELDS, Kind
from genrestream.schemas.labels import label_key
from genrestream.schemas.redis_keys import LABELS_TTL_S, items_key, labels_key
from genrestream.schemas.topics import DAY_MS, DEAD_LETTER_REPLAYS, DEAD_LETTERS, INPUT_TOPICS, MAX_ITEM_BYTES
from genrestream.workers.features.content import FeatureLimits
from genrestream.workers.features.text import MAX_COMBINING
from genrestream.workers.media_address import USUAL_PORTS
from genrestream.workers.media_http import BREAKER
from genrestream.workers.media_limits import MediaLimits
from genrestream.workers.settings import WorkerSettings

DOCS = Path(__file__).parents[2] / "docs"
INGEST = (DOCS / "ingest.md").read_text()
RECOMMENDERS = (DOCS / "recommenders.md").read_text()


def examples(text: str) -> list[str]:
    """The JSON blocks of a guide."""
    return re.findall(r"```json\n(.+?)```", text, re.DOTALL)


def test_the_item_shown_is_valid():
    """The example can be published as it stands, and no field of it is ignored."""
    (example,) = examples(INGEST)
    event = item_model(Kind.EVENT).model_validate_json(example)
    assert event.model_fields_set == {
        *("schema_version", "kind", "id", "title", "description", "poster", "source")
    }


def test_the_record_shown_is_valid():
    """The example is a whole label record: what is written back is what was read."""
    (example,) = examples(RECOMMENDERS)
    record = LabelRecord.model_validate_json(example)
    assert re.sub(r"\s", "", record.model_dump_json()) == re.sub(r"\s", "", example)


@pytest.mark.parametrize("kind", Kind)
def test_topics_and_fields_are_listed(kind):
    """Each kind's row names its topic, its texts and its media."""
    row = next(line for line in INGEST.splitlines() if line.startswith(f"| `{kind}` |"))
    named = re.findall(r"`([\w.]+)`", row)
    media = sorted(MEDIA_FIELDS[kind].values())
    assert named == [kind, INPUT_TOPICS[kind].name, *TEXT_FIELDS[kind], *media]


def test_limits_are_those_in_force():
    """The numbers of the guide are the code's."""
    topic = INPUT_TOPICS[Kind.EVENT]
    limits = FeatureLimits()
    media = MediaLimits()
    worker = WorkerSettings.model_fields
    said = [
        f"at most {MAX_ID_CHARS} characters",
        f"inline bytes, at most {MAX_INLINE_MEDIA_BYTES // 2**20} MiB",
        f"the input topics' {topic.retention_ms // DAY_MS} days",
        f"A message may have {MAX_ITEM_BYTES // 2**20} MiB",
        f"Up to {topic.max_message_bytes // 2**20} MiB the broker takes it",
        f"{limits.max_pixels // 10**6} megapixels",
        f"{limits.max_side_px:,} pixels a side, {limits.max_jpeg_scans} scans of a JPEG",
        (
            f"{limits.max_audio_s / 3600:g} hours, {limits.max_channels} channels, "
            f"{limits.max_sample_rate_hz // 1000} kHz, {limits.max_streams} streams"
        ),
        (
            f"more than {worker['item_deadline_s'].default:g} s or "
            f"{worker['feature_memory_bytes'].default // 2**30} GiB"
        ),
        f"on one character, {MAX_COMBINING} are read",
        f"At most {worker['max_media_bytes'].default // 2**20} MiB a medium",
        f"{worker['media_timeout_s'].default:g} s to read it",
        f"at the ports {', '.join(map(str, USUAL_PORTS[:-1]))} and {USUAL_PORTS[-1]}",
        f"Up to {media.max_redirects} redirects",
        f"for up to {worker['media_budget_s'].default:g} s, {media.max_attempts} times at most",
        f"fails {BREAKER.failures} times in a row is left alone for {BREAKER.first_open_s:g} s",
        f"after each further failure, up to {BREAKER.longest_open_s:g} s",
        (
            f"takes longer than {media.slow_after_s:g} s has to come at "
            f"{media.min_bytes_per_s // 1024} KiB/s on average"
        ),
    ]
    assert [words for words in said if words not in " ".join(INGEST.split())] == []
    assert f"expire {LABELS_TTL_S // 86400} days after" in " ".join(RECOMMENDERS.split())


def test_headers_and_keys_are_named_as_they_are():
    """The headers, the label topic's key and Redis' keys are spelt as the code spells them."""
    assert f"`{ALL_SCORES}`" in INGEST
    assert f"`{FORCE}`" in INGEST
    assert all(f"`{header}`" in INGEST for header in (FIRST_OFFSET, SCANNED_TO, ATTEMPTS))
    assert f"`{REVISION}`" in RECOMMENDERS
    assert label_key(Kind.PODCAST, "a:b", "genres") == "podcast:a:b:genres"
    assert f"HGET {labels_key(Kind.PODCAST, 'pod-314')} genres" in RECOMMENDERS
    assert f"ZREVRANGEBYSCORE {items_key(Kind.PODCAST, 'genres', 'Science')} 1 0.8" in RECOMMENDERS


@pytest.mark.parametrize("name", ["ingest.md", "recommenders.md"])
def test_links_lead_somewhere(name):
    """Each relative link of a guide ends at a file or folder that is there."""
    links = re.findall(r"\]\(([^)#:]+)\)", (DOCS / name).read_text())
    assert links
    assert [link for link in links if not (DOCS / link).exists()] == []


def test_the_table_of_dead_letters_is_fresh():
    """docs/dead_letters.md is what `python -m genrestream.schemas.dead_letter_docs` prints."""
    assert (DOCS / "dead_letters.md").read_text() == documentation()


@pytest.mark.parametrize("code", DeadLetterCode)
def test_every_dead_letter_code_has_a_remedy(code):
    """Each code's docstring says what it means, and then what to do about it."""
    meaning, remedy = meaning_and_remedy(code)
    assert meaning.endswith(".")
    assert remedy.endswith(".")


def test_the_dead_letters_retention_is_the_topics():
    """The days that the document names are those of the topics, and marks outlive the letters."""
    text = " ".join(documentation().split())
    assert f"Letters are kept for {DEAD_LETTERS.retention_ms // DAY_MS} days" in text
    assert f"which keeps them for {INPUT_TOPICS[Kind.EVENT].retention_ms // DAY_MS} days" in text
    assert DEAD_LETTER_REPLAYS.retention_ms == 2 * DEAD_LETTERS.retention_ms
