# What config.sh, run.sh and reset.sh have in common; read by them, not run.

stop() { # a sentence, and another that says what to do
  printf '%s: %s\n' "$(basename "$0")" "$1" >&2
  [ $# -lt 2 ] || printf '    %s\n' "$2" >&2
  exit 1
}

# The container engine: SHOAL_ENGINE, or the first of docker and podman that answers
find_engine() {
  engine=${SHOAL_ENGINE:-}
  local one why said=
  for one in docker podman; do
    [ -z "$engine" ] || break
    command -v "$one" >/dev/null || continue
    if why=$("$one" info 2>&1); then engine=$one; else said+=" $one is installed and does not answer: $(tail -n 1 <<<"$why")"; fi
  done
  [ -n "$engine" ] || stop "no container engine answers.${said:- Neither docker nor podman is installed.}" \
    "It all works without containers, too: bin/shoal demo"
  command -v "$engine" >/dev/null || stop "there is no $engine, which SHOAL_ENGINE names"
}

image=${SHOAL_IMAGE:-shoal}
# What these scripts make carries this label; nothing else is ever removed
label=shoal.example=1
is_ours() { # container|network NAME
  local labels=.Labels
  [ "$1" = network ] || labels=.Config.Labels
  [ "$("$engine" "$1" inspect -f "{{index $labels \"shoal.example\"}}" "$2" 2>/dev/null)" = 1 ]
}
