# The image of dbt and of the report: docker build --file docker/dbt.Dockerfile .
# Python's minor version is that of the last stage, since the packages hold compiled code.
FROM python:3.11.14-slim-bookworm AS packages
COPY dbt/requirements.txt /requirements.txt
RUN --mount=type=cache,target=/root/.cache/pip \
    pip install --disable-pip-version-check --require-hashes --no-deps --target=/packages --requirement=/requirements.txt

FROM gcr.io/distroless/python3-debian12:nonroot AS dbt
ARG SOURCE=unknown
ARG REVISION=unknown
LABEL org.opencontainers.image.source=$SOURCE \
      org.opencontainers.image.revision=$REVISION \
      org.opencontainers.image.licenses=MIT
# dbt writes compiled SQL and its log: to /tmp, the only place that a task may write to.
ENV PYTHONPATH=/packages \
    PYTHONDONTWRITEBYTECODE=1 \
    DBT_TARGET_PATH=/tmp/target \
    DBT_LOG_PATH=/tmp/logs \
    HOME=/tmp
COPY --from=packages /packages /packages
COPY dbt /dbt
# Named, so that a volume put there on Fargate takes over its permissions instead of belonging to root.
VOLUME ["/tmp"]
USER 65532:65532
ENTRYPOINT ["/usr/bin/python3", "/dbt/run.py"]
