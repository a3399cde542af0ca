# syntax=docker/dockerfile:1
# GPU   docker build --tag posedive:0.1.0 .
# CPU   docker build --tag posedive:0.1.0-cpu --build-arg BASE=ubuntu:24.04 --build-arg EXTRAS= \
#           --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cpu .
# BASE is any image of Ubuntu 24.04. PyTorch brings the CUDA libraries itself; the base need only let
# the driver in.
ARG BASE=nvidia/cuda:12.8.1-base-ubuntu24.04

FROM ubuntu:24.04 AS build
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# Ubuntu's archive keeps the newest build of a package only: one that is pinned is gone in weeks.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends python3-venv \
    && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/posedive
ENV PATH=/opt/posedive/bin:$PATH \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1
ARG EXTRAS=gpu
ARG TORCH_INDEX=
WORKDIR /src
COPY constraints.txt pyproject.toml README.md LICENSE NOTICE ./
COPY posedive posedive
RUN pip install --constraint constraints.txt \
    ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} ".${EXTRAS:+[$EXTRAS]}"

FROM ${BASE}
# wget: KubeRay's probes ask the dashboard with it. bash and python3 are what Ray starts workers by.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates python3 wget \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home posedive
COPY --from=build /opt/posedive /opt/posedive
ENV PATH=/opt/posedive/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 10001
WORKDIR /home/posedive
CMD ["posedive", "--help"]
