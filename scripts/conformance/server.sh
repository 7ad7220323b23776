# A server with the simulated model, for clients that are not ours; sourced by the scripts that bring
# them, in the project's folder. JOURNEYMAN_BIN is the program, built if not given.
# Sets `program`, `python` and `work`, a folder that is gone at the end; `start` sets `server` (its
# process) and `url`; `log` is what it prints of itself.
source scripts/needs

unset JOURNEYMAN_DATA_DIR JOURNEYMAN_MODEL_URL JOURNEYMAN_MODEL
here=scripts/conformance

have curl || { say "curl is needed"; exit 1; }

# kept FOLDER FILES...: whether the folder was made of these files, as they are now; keep says that it is.
made_of() { sha256sum "$@" | cut -d' ' -f1 | sha256sum | cut -d' ' -f1; }
kept() {
  local folder=$1
  shift
  [[ $(cat "$folder/made" 2>/dev/null) == "$(made_of "$@")" ]]
}
keep() {
  local folder=$1
  shift
  made_of "$@" >"$folder/made"
}

# environment FOLDER REQUIREMENTS: a Python environment with these; sets `python`.
environment() {
  python=$1/bin/python
  ! kept "$1" "$2" || return 0
  say "installing $(tr '\n' ' ' <"$2")"
  rm -rf "$1"
  python3 -m venv "$1"
  "$1/bin/pip" install --quiet --disable-pip-version-check --requirement "$2"
  keep "$1" "$2"
}

# find_program ARGUMENTS...: how it is built.
find_program() {
  program=${JOURNEYMAN_BIN:-}
  [[ ! $program ]] || return 0
  cargo build --quiet --locked --package journeyman "$@"
  program=$(cargo metadata --format-version 1 --no-deps | "$python" -c 'import json,sys; print(json.load(sys.stdin)["target_directory"])')/debug/journeyman
}

work=$(mktemp -d)
# The sandbox may run code as another user, who must get through.
chmod 755 "$work"
server=''
log=warn
clean() {
  [[ ! $server ]] || { kill -9 "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; }
  rm -rf "$work"
}
trap clean EXIT

# start FOLDER SCRIPT ARGUMENTS...
start() {
  local data=$work/$1 script=$2
  shift 2
  : >"$work/said"
  "$program" serve --data-dir "$data" --json --log "$log" --model-url "sim:?$script" "$@" >"$work/said" &
  server=$!
  for _ in $(seq 600); do
    [[ ! -s $work/said ]] || break
    kill -0 "$server" 2>/dev/null || { say "the server does not start"; exit 1; }
    sleep 0.1
  done
  url=$("$python" -c 'import json,sys; print(json.loads(sys.stdin.readline())["url"])' <"$work/said")
}
stop() {
  kill -TERM "$server"
  wait "$server" || { say "the server ended with $?"; exit 1; }
  server=''
}
