"""The worker's parts, made from its settings: the clients, the feature processes, and the pipeline on top."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from genrestream.connections.settings import Security
from genrestream.repository import Repository
from genrestream.workers.budget import MediaRoom
from genrestream.workers.cache import RedisCache
from genrestream.workers.cache_view import CacheView
from genrestream.workers.dead_letters import DeadLetterPublisher
from genrestream.workers.feature_pool import FeaturePool, PoolLimits
from genrestream.workers.features.content import FeatureLimits
from genrestream.workers.lookups import EarlierRecords, KeepLimits, RedisLookups, StoredEmbeddings
from genrestream.workers.media import MediaFetcher
from genrestream.workers.media_address import AddressPolicy
from genrestream.workers.media_limits import MediaLimits
from genrestream.workers.metrics import WorkerMetrics
from genrestream.workers.picture_reader import PictureReader, ReaderLimits
from genrestream.workers.pipeline import Adapters, BatchLimits, Pipeline
from genrestream.workers.producer import KafkaProducer
from genrestream.workers.protocols import NothingEarlier, NothingKept, NothingRead, PictureTexts
from genrestream.workers.publish import LabelPublisher
from genrestream.workers.releases import ReleaseFollower
from genrestream.workers.settings import WorkerSettings
from genrestream.workers.triton import TritonInference
from genrestream.workers.versions import VersionReader


@dataclass(frozen=True, slots=True)
class Parts:
    """What a worker consists of, apart from what reads its topics."""

    inference: TritonInference
    releases: ReleaseFollower
    pipeline: Pipeline


@asynccontextmanager
async def open_parts(
    settings: WorkerSettings,
    kafka_bootstrap: str,
    redis_url: str,
    triton_url: str,
    security: Security,
    metrics: WorkerMetrics,
) -> AsyncIterator[Parts]:
    """Everything connected and started; closed in the opposite order.

    Raises:
        CacheAccessError: Redis refuses the login or the TLS handshake.
        KafkaUnavailableError: no broker answers.
        FeaturesImpossibleError: pictures are to be read, and there is nothing to read them with.
    """
    async with AsyncExitStack() as stack:
        inference = await stack.enter_async_context(
            TritonInference(triton_url, deadline_s=settings.inference_deadline_s, security=security.triton)
        )
        media = await stack.enter_async_context(
            MediaFetcher(
                MediaLimits(
                    max_bytes=settings.max_media_bytes,
                    total_s=settings.media_timeout_s,
                    budget_s=settings.media_budget_s,
                ),
                allowed_root=settings.media_root,
                addresses=AddressPolicy(settings.media_allowed_networks, settings.media_ports),
                # One medium's attempts end in seconds: the item then goes on without it.
                on_retry=lambda: metrics.count_retry("media", holds_items=False),
                allowed_buckets=settings.media_buckets,
            )
        )
        features = await stack.enter_async_context(
            FeaturePool(
                PoolLimits(
                    processes=settings.feature_processes,
                    item_deadline_s=settings.item_deadline_s,
                    chunks_in_flight=2 * settings.feature_processes,
                    memory_bytes=settings.feature_memory_bytes,
                ),
                FeatureLimits(max_media_bytes=settings.max_media_bytes),
                on_restart=metrics.count_feature_restart,
            )
        )
        picture_texts: PictureTexts = NothingRead(metrics.count_picture_text)
        if settings.picture_readers:
            picture_texts = await stack.enter_async_context(
                PictureReader(
                    ReaderLimits(settings.picture_readers, settings.picture_reader_deadline_s),
                    FeatureLimits(max_media_bytes=settings.max_media_bytes),
                    on_reading=metrics.count_picture_text,
                )
            )
        producer = KafkaProducer(
            kafka_bootstrap,
            settings.name,
            on_retry=lambda: metrics.count_retry("kafka"),
            security=security.kafka,
        )
        await producer.start()
        stack.push_async_callback(producer.stop)
        cache = RedisCache(redis_url, security=security.redis)
        stack.push_async_callback(cache.close)
        await cache.check_access()
        await stack.enter_async_context(
            CacheView(kafka_bootstrap, settings.group, cache, metrics, security.kafka)
        )
        releases = await stack.enter_async_context(
            ReleaseFollower(
                kafka_bootstrap,
                Repository(settings.models),
                inference.is_model_ready,
                metrics,
                security=security.kafka,
            )
        )
        lookups = await stack.enter_async_context(RedisLookups(redis_url, security=security.redis))
        embeddings = StoredEmbeddings(lookups, KeepLimits(settings.shared_embeddings))
        stack.push_async_callback(embeddings.close)
        pipeline = Pipeline(
            Adapters(
                media=media,
                features=features,
                inference=inference,
                labels=LabelPublisher(producer),
                dead_letters=DeadLetterPublisher(producer),
                releases=releases,
                versions=VersionReader(
                    kafka_bootstrap,
                    on_retry=lambda: metrics.count_retry("kafka"),
                    security=security.kafka,
                ),
                earlier=EarlierRecords(lookups) if settings.skip_done else NothingEarlier(),
                embeddings=embeddings if settings.shared_embeddings else NothingKept(),
                picture_texts=picture_texts,
            ),
            metrics,
            {
                kind: BatchLimits(
                    settings.batch_items,
                    settings.batch_wait_s,
                    settings.batch_busy_wait_s,
                    settings.batches_in_flight,
                )
                for kind in settings.kinds
            },
            max_item_bytes=settings.max_message_bytes,
            media_room=MediaRoom(settings.max_media_bytes_in_flight),
        )
        metrics.watch_circuits("triton", lambda: pipeline.open_circuits)
        metrics.watch_circuits("media", lambda: media.open_circuits)
        yield Parts(inference, releases, pipeline)
