#!/usr/bin/env bash
# Starts the tracker (-s 1), node number N (-n N) or a node by name (-nn NAME), each in a container in the background. As many nodes as
# the machine takes. A node shares volumes/<name>, keeps its log in logs/<name>, and is entered with
#   docker exec -it shoal-<name> shoal shell
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
usage() { echo "usage: run.sh -s 1 | -n NUMBER | -nn NAME" >&2; exit 2; }
[ $# -eq 2 ] || usage
case $1 in
  -s) [ "$2" = 1 ] || usage; name=server ;;
  -n) [[ $2 =~ ^[1-9][0-9]{0,4}$ ]] || usage; name=node$2 ;;
  -nn) [[ $2 =~ ^[a-z0-9][a-z0-9_.-]{0,40}$ ]] && [ "$2" != server ] || usage; name=$2 ;;
  *) usage ;;
esac
engine=${SHOAL_ENGINE:-}
for one in docker podman; do [ -n "$engine" ] || ! "$one" info >/dev/null 2>&1 || engine=$one; done
[ -n "$engine" ] || { echo "neither docker nor podman answers" >&2; exit 1; }
image=${SHOAL_IMAGE:-shoal} root=${SHOAL_ROOT:-$here}
"$engine" network inspect shoal >/dev/null 2>&1 || "$engine" network create --label shoal.example=1 shoal >/dev/null
mkdir -p "$root/logs/$name" "$root/volumes/$name"
# the image's user is not the one who runs this: both write here
chmod 777 "$root/volumes/$name"
common=(-d --rm --label shoal.example=1 --name "shoal-$name" --network shoal)
if [ "$name" = server ]; then
  id=$("$engine" run "${common[@]}" --network-alias tracker -p "127.0.0.1:${SHOAL_PORT:-9000}:9000" "$image" tracker)
else
  [ -n "$(ls -A "$root/volumes/$name")" ] || [ ! -d "$root/.volumes_start/$name" ] || cp -R "$root/.volumes_start/$name/." "$root/volumes/$name/"
  id=$("$engine" run "${common[@]}" -e SHOAL_TRACKER=http://tracker:9000 -v "$root/volumes/$name:/data" "$image" share /data)
fi
nohup "$engine" logs -f "$id" >"$root/logs/$name/log" 2>&1 </dev/null &
echo "$name runs as shoal-$name"
