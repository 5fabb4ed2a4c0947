# Makes .venv with trioqueue in it; sourced by scripts/demo and scripts/test from the top of the working copy.
# Usage: . scripts/environment.sh; make_environment EXTRAS

find_python() {
  for candidate in python3 python3.14 python3.13 python3.12 python3.11 python; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "trioqueue needs Python 3.11 or newer, and none is on PATH" >&2
  return 1
}

make_environment() {
  echo "Installing into .venv ..." >&2
  if command -v uv >/dev/null 2>&1; then
    [ -x .venv/bin/python ] || uv venv --quiet --python '>=3.11' .venv
    uv pip install --quiet --python .venv/bin/python --editable ".[$1]"
  else
    python=$(find_python)
    [ -x .venv/bin/pip ] || "$python" -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check --editable ".[$1]"
  fi
}
