# Shared by the scripts in tools/: messages, and installing Debian packages. Sourced, never run.
# shellcheck shell=bash

if [[ -t 1 && -z "${NO_COLOR:-}" ]]; then bold=$'\033[1m' plain=$'\033[0m'; else bold='' plain=''; fi

say() { printf '%s\n' "$*"; }
headline() { printf '%s%s%s\n' "$bold" "$*" "$plain"; }
die() {
  printf '%s: %s\n' "${0##*/}" "$*" >&2
  exit 1
}

# seconds_since START (a value of $SECONDS) -> e.g. "75 s"
seconds_since() { printf '%d s' "$((SECONDS - $1))"; }

# timed TITLE COMMAND...: the title, the command's output, its duration; returns the command's status.
timed() {
  local title=$1 began=$SECONDS status=0
  shift
  headline "== $title"
  "$@" || status=$?
  say "== $title: status $status after $(seconds_since "$began")"
  return "$status"
}

# Prints the help of a script: the comment block under its first line.
print_help() { awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$1"; }

# need_packages PACKAGE...: installs the Debian packages that are missing. As root by itself; an ordinary user is shown
# the command. On a system without dpkg it only says what to provide.
need_packages() {
  local missing=() package
  if ! command -v dpkg-query >/dev/null; then
    say "not a Debian system; provide what these packages hold: $*"
    return 0
  fi
  for package in "$@"; do
    [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true) == installed ]] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  if ((EUID != 0)); then
    say "These Debian packages are missing. Install them, then run this again:"
    say "  sudo apt-get install --yes --no-install-recommends ${missing[*]}"
    exit 1
  fi
  say "Installing Debian packages: ${missing[*]}"
  apt_get update
  apt_get install --yes --no-install-recommends "${missing[@]}"
}

# Quiet unless it fails; --no-upgrade keeps its hands off what is there.
apt_get() {
  local log
  log=$(mktemp)
  if ! DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=120 "$@" >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    die "apt-get $1 failed"
  fi
  rm -f "$log"
}
