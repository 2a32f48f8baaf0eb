# The base of both stages: Debian 12, or an image that is made from it.
ARG BASE=debian:12-slim

# Build stage: the environment, made by the script that CI runs too. Behind a registry of your own, lend this
# step pip's settings and the authorities they trust (they do not stay in the image):
#   docker build --secret id=pip.conf,src=/etc/pip.conf --secret id=ca.crt,src=/etc/ssl/certs/ca-certificates.crt .
FROM ${BASE} AS build
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/service
COPY requirements.txt ./
COPY scripts/install scripts/install
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=secret,id=ca.crt,target=/etc/ssl/certs/ca-certificates.crt \
    scripts/install /opt/service/.venv
COPY service service
RUN .venv/bin/python -m compileall -q service
# What is served is checked here: a fault ends the build, and a start need not run the worked cases again.
COPY questionnaires questionnaires
COPY mappings mappings
RUN SERVICE_CHECKED_DIR=/opt/service/checked .venv/bin/python -m service check

# Runtime stage: no pip cache, no build tools, no root. The root file system may be read-only: all that is
# written is in /data, a volume that a new container takes over from the old one.
FROM ${BASE}
RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin service \
 && install --directory --owner 10001 --mode 0700 /data \
 && install --directory /opt/service && ln -s /data /opt/service/data
WORKDIR /opt/service
COPY --from=build /opt/service/.venv .venv
COPY --from=build /opt/service/service service
COPY --from=build /opt/service/checked checked
COPY gunicorn.conf.py pyproject.toml ./
COPY questionnaires questionnaires
COPY mappings mappings
USER 10001
ENV PYTHONDONTWRITEBYTECODE=1 SERVICE_HOST=0.0.0.0 SERVICE_PORT=8000 \
    SERVICE_CHECKED_DIR=/opt/service/checked
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD [".venv/bin/python", "-c", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ['SERVICE_PORT'] + '/readyz', timeout=2)"]
ENTRYPOINT [".venv/bin/python", "-m", "service"]
CMD ["serve"]
