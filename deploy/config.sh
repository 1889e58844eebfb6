#!/usr/bin/env bash
# Builds the image `shoal`. Removes no other image; -nr, which asks for just that, is accepted and changes nothing.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ $# -eq 0 ] || [ "$*" = -nr ] || { echo "usage: config.sh [-nr]" >&2; exit 2; }
engine=${SHOAL_ENGINE:-}
for one in docker podman; do [ -n "$engine" ] || ! "$one" info >/dev/null 2>&1 || engine=$one; done
[ -n "$engine" ] || { echo "neither docker nor podman answers" >&2; exit 1; }
# podman drops the health check from images of its own format
BUILDAH_FORMAT=docker exec "$engine" build -t "${SHOAL_IMAGE:-shoal}" -f deploy/Dockerfile .
