# The image that serves a trained artifact on the CPU: no compiler, no source tree, no outside connection.
# How to build it without a network, to run it and to harden it: docker/README.md.
# Kept to the subset that Docker (BuildKit) and Debian 12's buildah 1.28 both accept: no heredocs, no COPY --link,
# no HEALTHCHECK --start-interval.

# Both stages must start from one image: the virtual environment points at its interpreter.
ARG BASE_IMAGE=python:3.11-slim-bookworm

FROM ${BASE_IMAGE} AS builder
# Set PIP_NO_INDEX=1 to build from docker/wheels alone, or the other two to use an index of your own.
ARG PIP_NO_INDEX=
ARG PIP_INDEX_URL=
ARG PIP_EXTRA_INDEX_URL=
# EXTRAS=[torch] adds torch, for a GPU or an artifact without a graph; without it the image is a tenth the size.
ARG EXTRAS=
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_FIND_LINKS=/wheels
WORKDIR /build
COPY pyproject.toml requirements.lock LICENSE NOTICE ./
COPY model model
COPY service service
COPY training training
# The folder of wheels is mounted, not copied: no layer should carry it twice.
# Afterwards pip goes, and with it the C++ headers and the libraries' own tests: nothing in a running
# server installs, compiles or tests anything.
RUN --mount=type=bind,source=docker/wheels,target=/wheels \
    python3 -m venv /opt/venv \
    && /opt/venv/bin/pip install --constraint requirements.lock ".${EXTRAS}" \
    && /opt/venv/bin/pip uninstall --yes pip \
    && rm -rf /opt/venv/lib/python3*/site-packages/*/include \
              /opt/venv/lib/python3*/site-packages/*/tests \
              /opt/venv/lib/python3*/site-packages/torch/test

FROM ${BASE_IMAGE} AS runtime
LABEL org.opencontainers.image.title="lacuna" \
      org.opencontainers.image.description="Fills the gaps in patient records; research use" \
      org.opencontainers.image.licenses="Apache-2.0"
# PYTHONSAFEPATH: `python -m` does not look for modules in the working directory.
# The last three keep libraries from reporting to their makers.
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    PYTHONSAFEPATH=1 \
    ORT_DISABLE_TELEMETRY=1 \
    DO_NOT_TRACK=1 \
    HF_HUB_OFFLINE=1
RUN groupadd --gid 10001 lacuna \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin lacuna \
    && mkdir /models \
    && install --directory --owner=10001 --group=10001 --mode=0700 /jobs
COPY --from=builder /opt/venv /opt/venv
COPY docker/healthcheck.py /usr/local/bin/healthcheck.py

# Everything in the image but the empty /jobs belongs to root. A new volume that is mounted there takes its owner; with it and
# LACUNA_JOBS_DIR=/jobs the server takes batch jobs. Else it writes to /tmp only, and needs even that only as a tmpfs.
USER 10001:10001
# /models is the mount point for artifacts, read-only. There is deliberately no VOLUME: it would
# put a writable one there whenever the mount is forgotten, instead of an error that says so.
WORKDIR /models
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "/usr/local/bin/healthcheck.py"]
ENTRYPOINT ["python", "-m", "service"]
CMD ["serve", "--artifact", "/models/default", "--host", "0.0.0.0", "--port", "8000"]
