#!/usr/bin/env bash
# Builds the image `shoal`, for the tracker and for nodes. Removes no other image; -nr, which asks for just that, is accepted and
# changes nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. deploy/engine.sh
[ $# -eq 0 ] || [ "$*" = -nr ] || { echo "usage: config.sh [-nr]" >&2; exit 2; }
find_engine
# podman drops the health check from images of its own format
BUILDAH_FORMAT=docker "$engine" build -t "$image" -f deploy/Dockerfile .
echo "the image $image is built; deploy/run.sh -s 1 starts the tracker, deploy/run.sh -n 1 a node"
