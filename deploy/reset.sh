#!/usr/bin/env bash
# Stops and removes the containers and the network that run.sh made, and the logs; with -v the nodes' files go back to what
# .volumes_start/ has. Nothing that run.sh did not make is touched.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/engine.sh"
[ $# -eq 0 ] || [ "$*" = -v ] || { echo "usage: reset.sh [-v]     -v: the nodes' files, too, as .volumes_start/ has them" >&2; exit 2; }
find_engine
root=${SHOAL_ROOT:-$here}
ids=$("$engine" ps -aq --filter "label=$label")
# shellcheck disable=SC2086 # a list of words
[ -z "$ids" ] || "$engine" rm -f -v $ids >/dev/null
! is_ours network shoal || "$engine" network rm shoal >/dev/null
for log in "$root"/logs/*/log; do
  [ -f "$log" ] || continue
  rm -f "$log"
  rmdir "$(dirname "$log")" 2>/dev/null || true # with what else somebody put there it stays
done
rmdir "$root/logs" 2>/dev/null || true
echo "containers, their network and the logs are gone"
[ "${1:-}" = -v ] || exit 0
restored=0
for start in "$root"/.volumes_start/*/; do
  [ -d "$start" ] || continue
  volume=$root/volumes/$(basename "$start")
  rm -rf "$volume" || stop "$volume cannot be emptied: what is in it belongs to the containers' user" "Remove it with that user's rights, as by: podman unshare rm -rf '$volume'"
  mkdir -p "$volume"
  cp -R "$start." "$volume/"
  restored=$((restored + 1))
done
echo "volumes/ of $restored $([ "$restored" = 1 ] && echo node || echo nodes) as .volumes_start/ has them; others are as they were"
