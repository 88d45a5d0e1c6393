"""Dead letters to `catalog.dead-letters`, and the limit beyond which the worker stops making them.

The topic takes every message that an input topic takes: its limit is larger by more than the headers that
are added, and input topics hold messages uncompressed, so that no small message grows when it is read.
"""

from collections import deque

from genrestream.schemas.dead_letters import DeadLetter
from genrestream.schemas.topics import DEAD_LETTERS
from genrestream.workers.producer import KafkaProducer


class DeadLetterPublisher:
    """The dead-letter topic."""

    def __init__(self, producer: KafkaProducer) -> None:
        self._producer = producer

    async def publish(self, letter: DeadLetter) -> None:
        """Return once all in-sync replicas have it: untouched value, key and headers, and the reason.

        Raises:
            DeliveryImpossibleError: Kafka refuses it for good.
        """
        # A message needs a key or a value; one that had neither keeps its reason in the headers.
        key = b"" if letter.key is None and letter.value is None else letter.key
        await self._producer.deliver(DEAD_LETTERS.name, key, letter.value, letter.to_headers())


class StormLimit:
    """Says when so many of the recent items were dead-lettered that something else must be wrong.

    The worker then stops consuming instead of draining a topic into the dead letters.
    """

    def __init__(self, window_items: int = 1000, share: float = 0.5, minimum_items: int = 100) -> None:
        """Look at the last `window_items`; do not judge before there are `minimum_items`.

        Raises:
            ValueError: the numbers make no sense together.
        """
        if not 0 < share <= 1 or not 1 <= minimum_items <= window_items:
            raise ValueError("a storm limit needs 0 < share <= 1 and 1 <= minimum_items <= window_items")
        self._recent: deque[bool] = deque(maxlen=window_items)
        self._dead = 0
        self._share = share
        self._minimum_items = minimum_items

    def count(self, *, dead_lettered: bool) -> None:
        """One more item came to its end."""
        if len(self._recent) == self._recent.maxlen:
            self._dead -= self._recent[0]
        self._recent.append(dead_lettered)
        self._dead += dead_lettered

    @property
    def exceeded(self) -> bool:
        """Whether the worker has to stop."""
        return len(self._recent) >= self._minimum_items and self._dead >= self._share * len(self._recent)

    def __str__(self) -> str:
        share = f"{self._dead} of the last {len(self._recent)} items were dead-lettered"
        return f"{share}; `genrestream dead-letters groups` shows why"
