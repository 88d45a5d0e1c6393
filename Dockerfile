# syntax=docker/dockerfile:1
# The image of a worker: `docker build -t genrestream-worker .`

FROM python:3.11.13-slim-bookworm AS build
WORKDIR /build
# The environment has no pip of its own: nothing can be installed in the final image.
RUN python -m venv --without-pip /opt/genrestream
# The libraries first: they change less often than the code, and stay in the build cache.
COPY pyproject.toml requirements/worker.txt ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > dependencies.txt \
    && pip --python /opt/genrestream/bin/python install --no-cache-dir --only-binary :all: \
        --requirement dependencies.txt --constraint worker.txt
COPY README.md ./
COPY genrestream ./genrestream
RUN pip --python /opt/genrestream/bin/python install --no-cache-dir --no-deps .

FROM python:3.11.13-slim-bookworm
RUN useradd --uid 10001 --user-group --no-create-home --home-dir /tmp --shell /usr/sbin/nologin genrestream
COPY --from=build /opt/genrestream /opt/genrestream
ENV PATH=/opt/genrestream/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ORT_DISABLE_TELEMETRY=1 \
    GENRESTREAM_HTTP_HOST=0.0.0.0 \
    GENRESTREAM_HTTP_PORT=9464 \
    GENRESTREAM_MODELS=/models
USER 10001:10001
# Faust makes a folder where it starts; the image's own files stay as they are.
WORKDIR /tmp
EXPOSE 9464
# Liveness, not readiness: a worker that waits for Kafka or a release is well.
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 CMD [ \
    "python", "-c", \
    "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['GENRESTREAM_HTTP_PORT']}/health/live\", timeout=4)" \
]
# SIGTERM drains what is in flight: give it GENRESTREAM_DRAIN_DEADLINE_S (20 s) and some more.
STOPSIGNAL SIGTERM
ENTRYPOINT ["genrestream"]
CMD ["worker"]
