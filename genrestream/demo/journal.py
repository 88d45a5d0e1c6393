"""What was published, and what has come of it: nothing is counted that was not seen on Kafka.

published = labelled + dead_lettered + lost, each item once. An item is labelled when there is a record for
every live task of its kind. Removals are no items: whoever was removed had been labelled before.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from genrestream.client.labels import Labelled, Removed
from genrestream.client.show import NO_NEWS
from genrestream.schemas import DeadLetter, Kind, LabelRecord
from genrestream.schemas.topics import KIND_OF_TOPIC

Key = tuple[Kind, str]


@dataclass(frozen=True, slots=True)
class Expected:
    """A published item as the demo knows it."""

    kind: Kind
    item_id: str
    """Also its Kafka key."""
    name: str
    task: str | None = None
    """The task that its true labels are for; None for an item that is not judged."""
    truth: frozenset[str] = frozenset()

    @property
    def key(self) -> Key:
        """Names the item among all kinds."""
        return self.kind, self.item_id


@dataclass(slots=True)
class Journal:
    """The demo's books."""

    tasks: Mapping[Kind, frozenset[str]]
    """The live tasks of each kind."""
    items: dict[Key, Expected] = field(default_factory=dict)
    records: dict[Key, dict[str, LabelRecord]] = field(default_factory=lambda: defaultdict(dict))
    """By item and task; the newest one."""
    letters: dict[Key, DeadLetter] = field(default_factory=dict)
    removed: dict[Key, set[str]] = field(default_factory=lambda: defaultdict(set))
    """The tasks whose labels are gone, by item."""
    latencies_s: list[float] = field(default_factory=list)
    """From publication to label, one an item and task."""

    def publish(self, item: Expected) -> None:
        """An item is about to be published."""
        self.items[item.key] = item

    def take(self, news: Labelled | Removed | DeadLetter) -> Expected | None:
        """Book what came; the item it is about, or None when the demo did not publish it."""
        match news:
            case Labelled():
                item = self.items.get((news.record.kind, news.record.id))
                if item is not None:
                    if news.record.task not in self.records[item.key]:
                        self.latencies_s.append(news.latency_s)
                    self.records[item.key][news.record.task] = news.record
            case Removed():
                item = self.items.get((news.kind, news.item_id))
                if item is not None:
                    self.removed[item.key].add(news.task)
            case DeadLetter():
                kind = KIND_OF_TOPIC.get(news.topic)
                item = self.items.get((kind, (news.key or b"").decode("utf-8", "replace"))) if kind else None
                if item is not None:
                    self.letters[item.key] = news
        return item

    def is_labelled(self, item: Expected) -> bool:
        """Whether there is a record for every live task of the item's kind."""
        tasks = self.tasks.get(item.kind, frozenset())
        return bool(tasks) and tasks <= self.records.get(item.key, {}).keys()

    def is_removed(self, item: Expected) -> bool:
        """Whether the item's labels are gone for every live task."""
        return self.tasks.get(item.kind, frozenset()) <= self.removed.get(item.key, set())

    @property
    def published(self) -> int:
        """Items published."""
        return len(self.items)

    @property
    def labelled(self) -> int:
        """Items that have all their labels."""
        return sum(map(self.is_labelled, self.items.values()))

    @property
    def dead_lettered(self) -> int:
        """Items that ended as dead letters instead."""
        return sum(not self.is_labelled(self.items[key]) for key in self.letters)

    def outstanding(self) -> list[Expected]:
        """Items that have neither ended with labels nor as a dead letter."""
        return [
            item
            for item in self.items.values()
            if item.key not in self.letters and not self.is_labelled(item)
        ]

    def top1(self, kind: Kind) -> float | None:
        """The share of the kind's judged items whose best label is true; None where there are none."""
        hits = [
            hit for item in self.items.values() if item.kind is kind and (hit := self.hit(item)) is not None
        ]
        return sum(hits) / len(hits) if hits else None

    def judged(self, kind: Kind) -> int:
        """How many items `top1` rests on."""
        return sum(item.kind is kind and self.hit(item) is not None for item in self.items.values())

    def hit(self, item: Expected) -> bool | None:
        """Whether the item's best label is a true one; None when it is not judged or not labelled."""
        record = self.records.get(item.key, {}).get(item.task) if item.task else None
        return None if record is None else record.labels[0].label in item.truth

    def codes(self) -> Counter[str]:
        """Dead letters by code."""
        return Counter(letter.code.value for letter in self.letters.values())

    def missing(self) -> Counter[tuple[str, str]]:
        """Labelled items by modality that could not be read, and why; what an item never had is left out."""
        found: Counter[tuple[str, str]] = Counter()
        for records in self.records.values():
            gaps = {
                (gap.modality.value, gap.reason.value)
                for r in records.values()
                for gap in r.modalities_missing
            }
            found.update(gap for gap in gaps if gap[1] not in NO_NEWS)
        return found


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that `share` (0..1) of the values do not exceed; None of nothing."""
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] if ordered else None
