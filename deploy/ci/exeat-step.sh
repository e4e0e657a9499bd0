#!/bin/sh
# Runs one step of a CI job behind exeat. docs/ci.md says what that promises and what not.
#   exeat-step.sh wrap  --allowlist FILE [OPTION]... -- COMMAND...   the three below, with COMMAND's exit code
#   exeat-step.sh start --allowlist FILE [OPTION]...
#   exeat-step.sh run   [--folder DIR] [--exeat PROGRAM] -- COMMAND...
#   exeat-step.sh stop  [--folder DIR] [--exeat PROGRAM]
# Options of start and wrap:
#   --mode enforce|observe   observe lets pass what is not listed, for a day at most, and says so; enforce (the default) refuses it
#   --floor FILE             the floor, from where the repository's authors cannot change it
#   --settings FILE          tables that are added to exeat.toml, such as [inspect]; paths in it are absolute
#   --port N                 where the proxy listens on 127.0.0.1; a free port without it
#   --folder DIR             made by start, and not there before; exeat-step in RUNNER_TEMP, TMPDIR or /tmp without it
#   --exeat PROGRAM          exeat, if it is not in the search path
# stop leaves DIR/report: journal/, summary.md, suggested.toml, exeat.log; and nothing secret. GITHUB_STEP_SUMMARY gets the summary as well.
set -u
umask 077

say() { printf 'exeat-step: %s\n' "$*" >&2; }

help() { sed -n '2,14s/^# \{0,1\}//p' "$0"; }

usage() {
  say "$*"
  help >&2
  exit 2
}

tick() { sleep 0.1 2>/dev/null || sleep 1; }

# The process that start began, and no other that has its number since.
is_ours() {
  [ -n "$1" ] && kill -0 "$1" 2>/dev/null || return 1
  if [ -r "/proc/$1/cmdline" ]; then
    tr '\000' ' ' <"/proc/$1/cmdline" | grep -qF -- "$folder/exeat.toml"
  else
    ps -o args= -p "$1" | grep -qF -- "$folder/exeat.toml"
  fi
}

end_it() { # end_it PID: asks, waits half a minute, and then asks no more
  kill -TERM "$1" 2>/dev/null
  turn=0
  while is_ours "$1"; do
    turn=$((turn + 1))
    [ "$turn" -eq 300 ] && say "process $1 does not end, and is killed" && kill -KILL "$1" 2>/dev/null
    [ "$turn" -ge 400 ] && return 1
    tick
  done
}

fetch() { # fetch URL: its body, whatever its status
  if command -v curl >/dev/null; then
    curl --silent --noproxy '*' --max-time 5 "$1"
  else
    wget --quiet --no-proxy --timeout=5 --tries=1 --content-on-error -O - "$1"
  fi
}

# What a job sets for another exeat must not decide where this one looks.
own_settings() {
  unset EXEAT_CONFIG EXEAT_STATE EXEAT_ALLOWLISTS EXEAT_FLOOR EXEAT_ADMIN_ADDRESS EXEAT_METRICS_ADDRESS EXEAT_LISTEN_MAIN_ADDRESS \
    EXEAT_LISTEN_MAIN_AGENT
}

# What exeat says of copies, said of the files that were copied: the copies are gone when it is read.
of_the_originals() {
  COPIES="$folder/allowlists/" ORIGINALS="$allowlists/" FLOOR_COPY="$folder/floor.toml" FLOOR="$floor" \
    ADDED_TO="$folder/exeat.toml:" SETTINGS="$settings" OURS="$ours" awk '
    function replaced(text, old, new,   said, at) {
      while (old != "" && (at = index(text, old)) > 0) {
        said = said substr(text, 1, at - 1) new
        text = substr(text, at + length(old))
      }
      return said text
    }
    {
      said = replaced($0, ENVIRON["COPIES"], ENVIRON["ORIGINALS"])
      if (ENVIRON["FLOOR"] != "") said = replaced(said, ENVIRON["FLOOR_COPY"], ENVIRON["FLOOR"])
      at = index(said, ENVIRON["ADDED_TO"])
      if (ENVIRON["SETTINGS"] != "" && at > 0) {
        rest = substr(said, at + length(ENVIRON["ADDED_TO"]))
        if (rest + 0 > ENVIRON["OURS"] + 0) {
          line = rest + 0 - ENVIRON["OURS"]
          sub(/^[0-9]+/, "", rest)
          said = substr(said, 1, at - 1) ENVIRON["SETTINGS"] ":" line rest
        }
      }
      print said
    }'
}

# Which of the files that were given is at fault, by the first that exeat complains of.
not_loaded() {
  ask_exeat check >"$folder/checked" 2>&1
  of_the_originals <"$folder/checked" >&2
  fault="$(sed -n -e 's/^exeat: //' -e '/: found /{p;q;}' "$folder/checked")"
  case "$fault" in
    "$folder/allowlists/"*) give_up "the allowlist does not load" ;;
    "$folder/floor.toml"*) give_up "the floor does not load" ;;
    EXEAT_*) give_up "a variable of the job does not load: mend or unset ${fault%%: found *}" ;;
  esac
  [ -n "$settings" ] || give_up "exeat's settings do not load"
  give_up "what --settings $settings adds does not load. Paths in it are absolute; allowlists, floor, state, [listen.main] and [metrics] are the script's own"
}

ask_exeat() { "$exeat" --config "$folder/exeat.toml" "$@"; }

give_up() {
  say "$*"
  pid="$(cat "$folder/pid" 2>/dev/null)"
  if is_ours "$pid"; then end_it "$pid"; fi
  if [ -s "$folder/exeat.log" ]; then tail -n 20 "$folder/exeat.log" >&2; fi
  rm -rf "$folder"
  exit 1
}

is_named() { # is_named FILE: to be included, or as rules of the leak guard, by one that is there; an agent's own file never is
  if grep -Eq '^[[:space:]]*["'\'']?agent["'\'']?[[:space:]]*=' "$allowlists/$1"; then return 1; fi
  grep -qF -e "\"${1%.toml}\"" -e "'${1%.toml}'" -e "\"$1\"" -e "'$1'" "$folder"/allowlists/*.toml
}

write_files() {
  mkdir "$folder/allowlists" || give_up "cannot write to $folder"
  file="$(basename -- "$allowlist")" allowlists="$(dirname -- "$allowlist")"
  case "$file" in floor.toml) give_up "$allowlist is a floor, and names no agent" ;; *.toml) ;; *) give_up "$allowlist is no .toml" ;; esac
  cp -- "$allowlist" "$folder/allowlists/$file" || give_up "cannot read $allowlist"
  # What it names lies beside it, and what that names.
  more=yes
  while [ -n "$more" ]; do
    more=''
    for beside in "$allowlists"/*.toml; do
      name="$(basename -- "$beside")"
      if [ ! -f "$beside" ] || [ -e "$folder/allowlists/$name" ] || ! is_named "$name"; then continue; fi
      cp -- "$beside" "$folder/allowlists/$name" || give_up "cannot read $beside"
      more=yes
    done
  done
  beside="$allowlists/floor.toml"
  if [ -z "$floor" ] && [ -e "$beside" ]; then cp -- "$beside" "$folder/allowlists/floor.toml" || give_up "cannot read $beside"; fi
  {
    printf 'allowlists = "allowlists"\nstate = "state"\n'
    [ -z "$floor" ] || printf 'floor = "floor.toml"\n'
    printf '[listen.main]\naddress = "127.0.0.1:%s"\n[metrics]\naddress = "127.0.0.1:0"\n' "$port"
  } >"$folder/exeat.toml" || give_up "cannot write to $folder"
  ours="$(wc -l <"$folder/exeat.toml")"
  [ -z "$settings" ] || cat -- "$settings" >>"$folder/exeat.toml" || give_up "cannot read $settings"
  [ -z "$floor" ] || cp -- "$floor" "$folder/floor.toml" || give_up "cannot read $floor"
}

# The allowlist says whether its agent is observed; --mode has to say the same, or add it for a day.
observe_or_not() {
  if [ "$mode" = observe ] && ! observes; then
    until="$(date -u -d tomorrow +%Y-%m-%d 2>/dev/null || date -u -v+1d +%Y-%m-%d)"
    # In the place of a comment, if there is one, so that the lines keep their numbers.
    case "$(head -n 1 -- "$allowlist")" in '' | '#'*) from=2 ;; *) from=1 ;; esac
    { printf 'observe_until = "%s"\n' "$until" && tail -n "+$from" -- "$allowlist"; } >"$folder/allowlists/$file"
    ask_exeat check >"$folder/checked" 2>&1 || { of_the_originals <"$folder/checked" >&2; give_up "the allowlist cannot be observed"; }
    observes || give_up "agent $agent is not observed: the floor or the allowlist stands against it"
  fi
  # As check read it: a rule could stand in the way of one attempt, and say nothing of others.
  if [ "$mode" = enforce ] && grep -q '"observe_until": "' "$folder/checked"; then
    give_up "the allowlist has observe_until, so nothing unlisted would be refused: take that line out, or say --mode observe"
  fi
}

observes() { ask_exeat explain --json "$agent" https://on-no-list.exeat-step.test/ 2>/dev/null | grep -q '"reason": "observed"'; }

await_ready() {
  turn=0 gone=0
  while [ "$turn" -lt 600 ]; do
    # A process is not what it will be until it has begun.
    if is_ours "$(cat "$folder/pid")"; then gone=0; else gone=$((gone + 1)); fi
    [ "$gone" -lt 20 ] || give_up "exeat does not start"
    metrics="$(sed -n 's|^metrics http://\(.*\)/metrics$|\1|p' "$folder/out")"
    if [ -n "$metrics" ]; then
      ready="$(fetch "http://$metrics/readyz")"
      case "$ready" in ready*) return 0 ;; esac
    fi
    turn=$((turn + 1))
    tick
  done
  give_up "exeat is not ready after a minute: ${ready:-no answer}"
}

not_made() {
  if [ -d "$folder/report" ]; then
    say "$folder is there already, with the report of an earlier step: keep or remove it, or name another with --folder"
  elif [ -s "$folder/pid" ]; then
    say "$folder is there already, with a step that was not stopped: stop it, or name another with --folder"
  else
    say "$folder is there already or cannot be made: remove it, or name another with --folder"
  fi
  exit 1
}

start() {
  [ -n "$allowlist" ] || usage "start needs --allowlist FILE"
  case "$mode" in enforce | observe) ;; *) usage "--mode is enforce or observe, not $mode" ;; esac
  case "$port" in '' | *[!0-9]* | ??????*) usage "--port is a number up to 65535, not $port" ;; esac
  [ "$port" -le 65535 ] || usage "--port is a number up to 65535, not $port"
  command -v "$exeat" >/dev/null || { say "there is no program $exeat: install it, or name it with --exeat"; exit 1; }
  command -v curl >/dev/null || command -v wget >/dev/null || { say "it takes curl or wget to ask whether exeat is ready"; exit 1; }
  mkdir "$folder" 2>/dev/null || not_made
  own_settings
  write_files
  ask_exeat check --json >"$folder/checked" 2>&1 || not_loaded
  agent="$(sed -n 's/^ *"agent": "\([a-z0-9-]*\)",*$/\1/p' "$folder/checked" | head -n 1)"
  [ -n "$agent" ] || give_up "$allowlist names no agent"
  observe_or_not

  printf '%s\n' "$agent" >"$folder/agent"
  printf '%s\n' "$mode" >"$folder/mode"
  EXEAT_LOG="${EXEAT_LOG:-warn}" nohup "$exeat" --config "$folder/exeat.toml" serve </dev/null >"$folder/out" 2>"$folder/exeat.log" &
  printf '%s\n' "$!" >"$folder/pid"
  await_ready
  address="$(sed -n 's|^proxy main http://\(.*\)$|\1|p' "$folder/out")"
  ask_exeat token "$agent" --address "$address" >"$folder/url" 2>>"$folder/exeat.log" || give_up "no token for $agent"
  if [ "${GITHUB_ACTIONS:-}" = true ]; then sed -n 's|^http://[^:]*:\([^@]*\)@.*$|::add-mask::\1|p' "$folder/url"; fi
  tell_the_mode
}

tell_the_mode() {
  say "agent $agent, proxy $address, $mode"
  if [ "$mode" = observe ]; then
    say "OBSERVING: WHAT IS NOT LISTED PASSES AND IS RECORDED. NOTHING BUT BLOCK RULES AND FORBIDDEN ADDRESSES IS REFUSED."
    [ "${GITHUB_ACTIONS:-}" != true ] || printf '::warning::exeat only observes agent %s: what is not listed passes\n' "$agent"
  else
    say "what the step sends through the proxy is refused unless it is listed"
  fi
  say "not enforced: only the environment leads to the proxy. A program that ignores it goes round. To close that, run the step as a user of its own" \
    "under deploy/nft/user.nft, and let 'exeat doctor --from-agent' try every way out as that user."
}

step() { # In a shell of its own: its environment is the command's alone.
  [ -s "$folder/url" ] || { say "nothing was started in $folder"; exit 1; }
  own_settings
  variables="$(ask_exeat env --url - <"$folder/url")" || { say "no environment for the step"; exit 1; }
  eval "$variables"
  for name in $(env | sed -n 's/^\(EXEAT_[A-Za-z0-9_]*\)=.*/\1/p'); do unset "$name"; done
  exec "$@"
}

stop() {
  [ -s "$folder/pid" ] || { say "nothing was started in $folder"; return 1; }
  own_settings
  failed=0 report="$folder/report" pid="$(cat "$folder/pid")" agent="$(cat "$folder/agent")" mode="$(cat "$folder/mode")"
  if is_ours "$pid"; then
    end_it "$pid" || failed=1
  else
    say "exeat had ended before the step was over: what went through the proxy after that was refused"
    failed=1
  fi
  mkdir "$report" && cp -R "$folder/state/journal" "$report/journal" && cp "$folder/exeat.log" "$report/exeat.log" || failed=1
  ask_exeat verify "$report/journal" >"$folder/verified" 2>&1 || { say "the journal is not what was written"; failed=1; }
  ask_exeat suggest "$agent" >"$report/suggested.toml" 2>/dev/null || rm -f "$report/suggested.toml"
  summary >"$report/summary.md" || failed=1
  cat "$report/summary.md" >&2
  [ -z "${GITHUB_STEP_SUMMARY:-}" ] || cat "$report/summary.md" >>"$GITHUB_STEP_SUMMARY" || failed=1
  if [ "$failed" -eq 0 ]; then
    rm -rf "$folder/state" "$folder/url" "$folder/pid" "$folder/out" "$folder/checked" "$folder/verified"
  else
    rm -f "$folder/url" "$folder/pid" "$folder/state/tokens.json"
  fi
  say "the report is in $report"
  return "$failed"
}

summary() { # Four blanks make a block that nothing in it can end.
  printf '### exeat: agent %s, %s\n\n' "$agent" "$mode"
  [ "$mode" = enforce ] || printf '**Only observed: what is not listed passed.**\n\n'
  ask_exeat log --summary --agent "$agent" | sed 's/^/    /'
  refused="$(ask_exeat log --agent "$agent" --decision block | tail -n 50 | sed 's/^/    /')"
  if [ -n "$refused" ]; then printf '\nRefused:\n\n%s\n' "$refused"; else printf '\nNothing was refused.\n'; fi
  printf '\nThe journal:\n\n'
  sed 's/^/    /' "$folder/verified"
}

case "${1:-}" in
  start | run | stop | wrap) task="$1" && shift ;;
  --help | -h | help) help && exit 0 ;;
  *) usage "the first word is start, run, stop or wrap" ;;
esac
scratch="${RUNNER_TEMP:-${TMPDIR:-/tmp}}"
folder="${scratch%/}/exeat-step" exeat=exeat mode=enforce port=0 allowlist='' floor='' settings='' ours=0 given=''
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  case "$1" in --help | -h) help && exit 0 ;; esac
  [ $# -ge 2 ] || usage "$1 needs a value"
  case "$1" in
    --folder) folder="$2" ;;
    --exeat) exeat="$2" ;;
    --allowlist) allowlist="$2" given="$1" ;;
    --mode) mode="$2" given="$1" ;;
    --floor) floor="$2" given="$1" ;;
    --settings) settings="$2" given="$1" ;;
    --port) port="$2" given="$1" ;;
    *) usage "$1 is not known" ;;
  esac
  shift 2
done
[ $# -eq 0 ] || shift
case "$task" in
  run | wrap) [ $# -gt 0 ] || usage "$task needs -- COMMAND" ;;
  start | stop) [ $# -eq 0 ] || usage "$task takes no command" ;;
esac
case "$task" in run | stop) [ -z "$given" ] || usage "$given belongs to start" ;; start | wrap) ;; esac
case "$folder" in /*) ;; *) folder="$PWD/$folder" ;; esac

case "$task" in
  start) start ;;
  run) step "$@" ;;
  stop) stop ;;
  wrap)
    start
    status=0
    trap 'stop; exit 143' INT TERM
    (step "$@") || status=$?
    stop || [ "$status" -ne 0 ] || status=1
    exit "$status"
    ;;
esac
