#!/usr/bin/env bash
# Stops and removes the containers and the network that run.sh made, and the logs; with -v the nodes' files go back to what
# .volumes_start/ has. Nothing that run.sh did not make is touched.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[ $# -eq 0 ] || [ "$*" = -v ] || { echo "usage: reset.sh [-v]" >&2; exit 2; }
engine=${SHOAL_ENGINE:-}
for one in docker podman; do [ -n "$engine" ] || ! "$one" info >/dev/null 2>&1 || engine=$one; done
[ -n "$engine" ] || { echo "neither docker nor podman answers" >&2; exit 1; }
root=${SHOAL_ROOT:-$here}
for id in $("$engine" ps -aq --filter label=shoal.example=1); do "$engine" rm -f "$id" >/dev/null; done
"$engine" network rm shoal >/dev/null 2>&1 || true
rm -rf "$root/logs"
if [ "${1:-}" = -v ]; then
  for start in "$root"/.volumes_start/*/; do
    [ -d "$start" ] || continue
    name=$(basename "$start")
    rm -rf "$root/volumes/$name"
    mkdir -p "$root/volumes/$name"
    cp -R "$start." "$root/volumes/$name/"
  done
fi
echo "reset"
