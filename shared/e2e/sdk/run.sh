#!/usr/bin/env bash
# Runs the official SDKs against a running gateway: shared/e2e/sdk/run.sh BASE_URL KEY [ONLY]
#
# BASE_URL has no path. The gateway must serve four models under KEY, each by a channel that speaks one dialect to the provider
# simulator: `chat-model`, `responses-model`, `messages-model`, `gemini-model`. ONLY is a part of the lines to run: "anthropic",
# "tools", "gemini-model".
#
# SLUICE_SDK_CACHE is a folder for the installed packages; it is filled on the first run and used again while the versions stay.
# With SLUICE_SDK_ONLY=python or =node one of the two suites runs alone.
#
# Prints `ok - SDK CASE MODEL` or `not ok - SDK CASE MODEL` with the reason below, and `# pass N`, `# fail N` at the end.
# Exits with 0 when every case passed, 1 when one failed, 2 when the suites could not run.
set -uo pipefail

if [ $# -lt 2 ]; then
  echo "usage: ${0##*/} BASE_URL KEY [ONLY]" >&2
  exit 2
fi
base_url=${1%/}
key=$2
only=${3:-}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${SLUICE_SDK_CACHE:?SLUICE_SDK_CACHE must name a folder for the installed SDKs}
mkdir -p "$cache"
cache=$(cd "$cache" && pwd)

# Whether a folder was filled from this file.
is_current() {
  [ -f "$1/filled-from" ] && cmp -s "$1/filled-from" "$2"
}

install_python() {
  local folder=$cache/python
  is_current "$folder" "$here/python/requirements.txt" && return
  rm -rf "$folder"
  python3 -m venv "$folder" >&2 &&
    "$folder/bin/pip" install --quiet --disable-pip-version-check --no-deps --requirement "$here/python/requirements.txt" >&2 &&
    cp "$here/python/requirements.txt" "$folder/filled-from"
}

# Modules find their packages in the folder above them, so the suite is copied to where the packages are.
install_node() {
  local folder=$cache/node
  if ! is_current "$folder" "$here/node/package-lock.json"; then
    rm -rf "$folder"
    mkdir -p "$folder"
    cp "$here/node/package.json" "$here/node/package-lock.json" "$folder/"
    (cd "$folder" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2) || return
    cp "$here/node/package-lock.json" "$folder/filled-from"
  fi
  rm -f "$folder"/*.mjs
  cp "$here"/node/*.mjs "$folder/"
}

# No proxy of the machine stands between the SDKs and the gateway, and none of its keys is taken for ours.
isolated() {
  env -u HTTP_PROXY -u HTTPS_PROXY -u ALL_PROXY -u http_proxy -u https_proxy -u all_proxy \
    -u OPENAI_API_KEY -u OPENAI_BASE_URL -u ANTHROPIC_API_KEY -u ANTHROPIC_AUTH_TOKEN -u ANTHROPIC_BASE_URL \
    -u GEMINI_API_KEY -u GOOGLE_API_KEY -u GOOGLE_GEMINI_BASE_URL \
    PYTHONDONTWRITEBYTECODE=1 "$@"
}

passed=0
failed=0

# Runs one suite, shows its lines without its totals, and adds these up. A suite that ends without totals has failed.
run() {
  local output=$cache/output totals
  isolated "$@" "$base_url" "$key" "$only" 2>&1 | tee "$output" | grep -v -E '^# (pass|fail) '
  totals=$(grep -c -E '^# (pass|fail) [0-9]+$' "$output")
  if [ "$totals" -ne 2 ]; then
    echo "not ok - ${1##*/} suite ended early"
    failed=$((failed + 1))
  fi
  passed=$((passed + $(sed -n 's/^# pass //p' "$output" | tail -1 | grep -E '^[0-9]+$' || echo 0)))
  failed=$((failed + $(sed -n 's/^# fail //p' "$output" | tail -1 | grep -E '^[0-9]+$' || echo 0)))
}

if [ "${SLUICE_SDK_ONLY:-python}" = python ]; then
  install_python || {
    echo "the Python SDKs cannot be installed" >&2
    exit 2
  }
  run "$cache/python/bin/python" "$here/python"
fi
if [ "${SLUICE_SDK_ONLY:-node}" = node ]; then
  install_node || {
    echo "the Node SDKs cannot be installed" >&2
    exit 2
  }
  run node "$cache/node/main.mjs"
fi
echo "# pass $passed"
echo "# fail $failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
