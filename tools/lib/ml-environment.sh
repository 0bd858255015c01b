# The Python packages and models that the demo and the benchmarks run on. Sourced after common.sh, never run.
# shellcheck shell=bash

venv=.build/demo-venv
models=.build/demo-models

# Installs what is missing into $venv and makes $models; quick when both are there.
make_ml_environment() {
  local stamp began
  say "This installs, where missing: python3 and python3-venv from Debian; $(grep -c == tools/demo.d/requirements.txt) Python packages into $venv."

  if ! python3 -c 'import ensurepip, venv' 2>/dev/null; then need_packages python3 python3-venv; fi
  python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || die "the pinned Python packages need Python 3.11 or newer"

  # The stamp holds what was installed and by which Python; anything else means again from nothing.
  stamp="$(python3 -c 'import sys; print(sys.version)') $(sha256sum <tools/demo.d/requirements.txt)"
  if [[ $(cat "$venv/installed" 2>/dev/null || true) != "$stamp" ]]; then
    began=$SECONDS
    say "Installing Python packages (about 180 MB to download) ..."
    rm -rf "$venv" "$models"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --no-deps -r tools/demo.d/requirements.txt
    printf '%s\n' "$stamp" >"$venv/installed"
    say "  done after $(seconds_since "$began")"
  fi
  say "Making the models ..."
  PYTHONDONTWRITEBYTECODE=1 "$venv/bin/python" tools/demo.d/models.py "$models"
}
