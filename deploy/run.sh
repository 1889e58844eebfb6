#!/usr/bin/env bash
# Starts the tracker or nodes, each in a container in the background.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/engine.sh"
usage() {
  [ $# -eq 0 ] || echo "run.sh: $1" >&2
  cat >&2 <<'TEXT'
usage: run.sh -s 1        the tracker, on port 9000 of this machine (another: SHOAL_PORT)
       run.sh -n 7        the node number 7, called node7
       run.sh -n 1-30     thirty nodes: as many as the machine takes
       run.sh -nn alice   a node by its name
A node shares volumes/<name> and puts there what it downloads; its log is logs/<name>/log. reset.sh removes it all.
TEXT
  exit 2
}
number='[1-9][0-9]{0,4}'
[ $# -gt 0 ] || usage
case $1 in -h | --help) usage ;; -s | -n | -nn) ;; *) usage "there is no option $1" ;; esac
[ $# -eq 2 ] || usage "$1 takes one word after it"
names=()
case $1 in
  -s)
    [ "$2" = 1 ] || usage "there is one tracker: -s takes 1"
    names=(server)
    ;;
  -n)
    if [[ $2 =~ ^$number$ ]]; then
      names=("node$2")
    elif [[ $2 =~ ^($number)-($number)$ ]] && [ "${BASH_REMATCH[1]}" -le "${BASH_REMATCH[2]}" ]; then
      for ((one = BASH_REMATCH[1]; one <= BASH_REMATCH[2]; one++)); do names+=("node$one"); done
    else
      usage "\"$2\" is not the number of a node: -n takes 1 to 99999, or several as 1-30"
    fi
    ;;
  -nn)
    [[ $2 =~ ^[a-z0-9][a-z0-9_.-]{0,40}$ ]] || usage "\"$2\" is not a name of a node: small letters, digits, and - _ . between them"
    [ "$2" != server ] || usage "server is the name of the tracker, which -s 1 starts"
    names=("$2")
    ;;
esac
find_engine
# never one that a registry happens to have by this name
"$engine" image inspect "$image" >/dev/null 2>&1 || stop "there is no image $image" "deploy/config.sh builds it"
root=${SHOAL_ROOT:-$here}
network=shoal port=${SHOAL_PORT:-9000}
"$engine" network inspect "$network" >/dev/null 2>&1 || "$engine" network create --label "$label" "$network" >/dev/null

runs() { [ "$("$engine" container inspect -f '{{.State.Running}}' "$1" 2>/dev/null)" = true ]; }

begin() { # NAME ARGUMENTS-OF-THE-ENGINE... : starts a container, and waits until its log says that it serves
  local name=$1 container=shoal-$1 log=$root/logs/$1/log id
  shift
  if "$engine" container inspect "$container" >/dev/null 2>&1; then
    is_ours container "$container" || stop "there is a container $container that run.sh did not make" "Give it another name, or remove it yourself."
    if runs "$container"; then
      echo "$name runs already, as $container"
      return
    fi
    "$engine" rm -f -v "$container" >/dev/null # it has ended, or its engine was killed
  fi
  mkdir -p "$root/logs/$name"
  id=$("$engine" run -d --label "$label" --name "$container" --network "$network" "$@") ||
    stop "$engine did not start $container: it says above why" "A port that is taken can be another: SHOAL_PORT=9100 deploy/run.sh -s 1"
  nohup "$engine" logs -f "$id" >"$log" 2>&1 </dev/null &
  local tenth
  for ((tenth = 0; tenth < 100; tenth++)); do
    if grep -Eqs '^(tracker at|sharing) ' "$log"; then return; fi
    if ! runs "$container"; then
      cat "$log" >&2
      stop "$container has ended: above is its log, which is $log"
    fi
    # without a tracker it has nobody to tell
    if [ "$name" != server ] && ! runs shoal-server; then
      echo "$name waits for the tracker: deploy/run.sh -s 1 starts it"
      return
    fi
    sleep 0.1
  done
  echo "$name takes its time; its log is $log"
}

for name in "${names[@]}"; do
  if [ "$name" = server ]; then
    begin server --network-alias tracker -p "127.0.0.1:$port:9000" "$image" tracker
    echo "the tracker is at http://127.0.0.1:$port, as the container shoal-server"
    continue
  fi
  volume=$root/volumes/$name
  mkdir -p "$volume"
  # the image's user is not the one who runs this: both write here
  chmod 777 "$volume"
  [ -n "$(ls -A "$volume")" ] || [ ! -d "$root/.volumes_start/$name" ] || cp -R "$root/.volumes_start/$name/." "$volume/"
  begin "$name" -e SHOAL_TRACKER=http://tracker:9000 -v "$volume:/data" -w /data "$image" share /data
  echo "$name shares $volume; its shell: $engine exec -it shoal-$name shoal shell"
done
