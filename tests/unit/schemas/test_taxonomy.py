"""Taxonomies: the written-out examples, mapping, the policy for the unmapped, raising a version."""

import pytest

from genrestream.schemas.taxonomy import (
    AsGiven,
    Taxonomy,
    TaxonomyError,
    merge_tail,
    new_version_reasons,
    normalised,
    parse_taxonomy,
    taxonomy,
    taxonomy_names,
)

SMALL = """
name: small
version: 1
description: For tests.
raise_version_when: Never.
labels: [Rock, Jazz, Others]
sources:
  shop:
    description: A shop's shelves.
    unmapped: {unmapped}
    {others}
    map: {{Rock & Roll: Rock, Jazz: Jazz, Jazz Rock: [Jazz, Rock]}}
"""


def small(unmapped: str, others: str = "") -> Taxonomy:
    return parse_taxonomy(SMALL.format(unmapped=unmapped, others=others), "small.yaml")


def closed(name: str) -> Taxonomy:
    loaded = taxonomy(name)
    assert isinstance(loaded, Taxonomy)
    return loaded


def test_written_out_examples():
    """110 podcast genres onto 35, 55 of production music onto 29 and Others, event scenes onto 16."""
    sizes = {
        name: (
            len(closed(name).labels),
            {source: len(rules.map) for source, rules in closed(name).sources.items()},
        )
        for name in taxonomy_names()
    }
    assert sizes == {
        "event-scenes": (16, {"posters": 94}),
        "film-genres": (20, {"imdb": 21, "tmdb": 18}),
        "podcast-genres": (35, {"apple-podcasts": 110}),
        "production-music": (30, {"library": 55}),
    }


@pytest.mark.parametrize("name", taxonomy_names())
def test_every_canonical_label_can_be_reached(name):
    """No canonical label is dead: some source label of some source leads to it."""
    loaded = closed(name)
    reached = {
        target for rules in loaded.sources.values() for targets in rules.map.values() for target in targets
    }
    assert reached == set(loaded.labels)


@pytest.mark.parametrize(
    ("name", "source", "labels", "expected"),
    [
        ("podcast-genres", "apple-podcasts", ["Stand-Up", "Improv"], ("Comedy",)),
        ("podcast-genres", "apple-podcasts", ["Tech News"], ("News", "Technology")),
        ("podcast-genres", "apple-podcasts", ["Astronomy", "Podcasting"], ("Science",)),
        ("production-music", "library", ["Techno", "Soul"], ("Others", "Soul")),
        ("production-music", "library", ["Yodelling"], ("Others",)),
        ("event-scenes", "posters", ["D&B", "jungle", "Grime"], ("Drum and Bass", "Bass", "Hip-Hop")),
        ("film-genres", "imdb", ["Sci-Fi", "Film-Noir"], ("Science Fiction",)),
        ("film-genres", "tmdb", ["Science Fiction"], ("Science Fiction",)),
    ],
)
def test_examples_map(name, source, labels, expected):
    """Source labels become canonical ones, each once, in order of first appearance."""
    assert taxonomy(name).map(source, labels) == expected


def test_production_music_keeps_the_most_frequent():
    """Rank 29 (Soul, 570 tracks) stays, rank 30 (Techno, 430) joins Others."""
    rules = closed("production-music").sources["library"]
    assert rules.map["Soul"] == ("Soul",)
    assert rules.map["Techno"] == ("Others",)
    assert sum(targets == ("Others",) for targets in rules.map.values()) == 55 - 29


def test_merge_tail_breaks_ties_by_name():
    """With equal counts the first in the alphabet stays, so that the same counts give the same map."""
    assert merge_tail({"b": 2, "a": 2, "c": 9}, 2, "Others") == {"c": "c", "a": "a", "b": "Others"}


def test_labels_are_compared_in_one_form():
    """Case, spaces, full-width forms and & against `and` make no difference."""
    assert normalised("  ROCK & Roll ") == normalised("rock and roll") == normalised("Ｒock&roll")
    assert small("drop").map("shop", ["rock AND  roll"]) == ("Rock",)


def test_unmapped_is_dropped_or_others_or_an_error():
    """Each policy for a label outside the map does what its name says."""
    assert small("drop").map("shop", ["Polka", "Jazz"]) == ("Jazz",)
    assert small("others", "others: Others").map("shop", ["Polka", "Ska", "Jazz"]) == ("Others", "Jazz")
    with pytest.raises(TaxonomyError, match="taxonomy small, source shop: no map for 'Polka'"):
        small("reject").map("shop", ["Polka"])


def test_unmapped_labels_are_reported():
    """What the map does not hold can be listed, whatever becomes of it."""
    assert small("others", "others: Others").unmapped("shop", ["Polka", "jazz"]) == ("Polka",)


def test_as_given_lets_labels_stand():
    """Without a map the labels are those of the set, each once, under version 1."""
    given = taxonomy("as-given")
    assert given == AsGiven(name="as-given", version=1)
    assert given.map("any", ["Rock", "jazz", "Rock"]) == ("Rock", "jazz")
    assert given.unmapped("any", ["Rock"]) == ()


def test_unknown_names_are_clear_errors():
    """A wrong taxonomy or source is one line that lists what there is."""
    with pytest.raises(
        TaxonomyError, match=r"no taxonomy 'genres' \(there are: as-given, event-scenes, film-"
    ):
        taxonomy("genres")
    with pytest.raises(TaxonomyError, match=r"no taxonomy '../x'"):
        taxonomy("../x")
    with pytest.raises(TaxonomyError, match=r"film-genres has no source 'shop' \(it has: imdb, tmdb\)"):
        taxonomy("film-genres").map("shop", [])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("Jazz: Jazz", "Jazz: Jaz"), "small.yaml: taxonomy: .*maps to 'Jaz', which is no canonical label"),
        (("labels: [Rock, Jazz", "labels: [Rock, rock, Jazz"), "a canonical label stands twice"),
        (("Jazz: Jazz", "Jazz: Jazz, JAZZ: Rock"), "'JAZZ' and 'Jazz' are the same label"),
        (("unmapped: drop", "unmapped: others"), "`others` is named when, and only when"),
        (("version: 1", "version: 0"), "small.yaml: version: "),
        (("labels: [", "labels: ]"), "small.yaml: not YAML: "),
    ],
)
def test_wrong_files_are_refused(change, message):
    """A fault in a file is one line that names the file and the fault."""
    text = SMALL.format(unmapped="drop", others="")
    assert change[0] in text
    with pytest.raises(TaxonomyError, match=message):
        parse_taxonomy(text.replace(*change), "small.yaml")


def test_a_tail_merge_must_agree_with_its_map():
    """A map that says other than its counts is refused."""
    merge = "others: Others\n    tail_merge: {keep: 1, counts: {Rock & Roll: 1, Jazz: 5, Jazz Rock: 2}}"
    text = SMALL.format(unmapped="others", others=merge)
    with pytest.raises(TaxonomyError, match="the map is not what the counts give"):
        parse_taxonomy(text, "small.yaml")
    good = text.replace(
        "{Rock & Roll: Rock, Jazz: Jazz, Jazz Rock: [Jazz, Rock]}",
        "{Rock & Roll: Others, Jazz: Jazz, Jazz Rock: Others}",
    )
    assert parse_taxonomy(good, "small.yaml").map("shop", ["jazz rock"]) == ("Others",)


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        (("description: For", "description: Good for"), []),
        (("Jazz: Jazz", "Jazz: Jazz, Bebop: Jazz"), []),
        (("Jazz: Jazz", "Jazz: Rock"), ["source shop: Jazz maps elsewhere"]),
        (("Jazz: Jazz, ", ""), ["source shop: Jazz maps elsewhere"]),
        (("Rock, Jazz, Others", "Rock, Jazz, Others, Folk"), ["canonical label added: Folk"]),
        (("Rock, Jazz, Others", "Rock, Jazz"), ["canonical label removed: Others"]),
        (("Rock, Jazz, Others", "Jazz, Rock, Others"), ["canonical labels stand in another order"]),
        (("unmapped: drop", "unmapped: reject"), ["source shop: another policy for the unmapped"]),
        (("  shop:", "  store:"), ["source removed: shop"]),
    ],
)
def test_when_a_version_must_be_raised(change, reasons):
    """What changes a label's meaning needs a new version; a new source label does not."""
    text = SMALL.format(unmapped="drop", others="")
    assert change[0] in text
    current = parse_taxonomy(text.replace(*change), "small.yaml")
    assert new_version_reasons(small("drop"), current) == reasons
