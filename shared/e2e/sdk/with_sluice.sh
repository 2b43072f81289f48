#!/usr/bin/env bash
# Starts the simulator and one Sluice on free ports with a channel for each dialect, and runs something against it, which gets the
# address and a key: shared/e2e/sdk/with_sluice.sh FOLDER_OF_PROGRAMS COMMAND [ARGUMENTS]
#
# What that installs goes into SLUICE_SDK_CACHE or a folder beside the programs.
set -euo pipefail
programs=$(cd "$1" && pwd)
export SLUICE_SDK_CACHE=${SLUICE_SDK_CACHE:-$programs/../sdk}
work=$(mktemp -d)
started=()

finish() {
  for process in "${started[@]}"; do kill "$process" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

read -r simulator gateway < <(python3 - <<'P'
import socket
sockets = [socket.socket() for _ in range(2)]
for one in sockets:
    one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in sockets))
P
)
models=(chat-model responses-model messages-model gemini-model)
"$programs/sluice-simulator" --listen "127.0.0.1:$simulator" "${models[@]/#/--model=}" >"$work/simulator.log" 2>&1 &
started+=($!)
token=$(python3 -c 'import secrets; print(secrets.token_hex(24))')
INITIAL_ROOT_ACCESS_TOKEN=$token SLUICE_DATA_DIR=$work/data PORT=$gateway "$programs/sluice" >"$work/sluice.log" 2>&1 &
started+=($!)

# Makes a channel and a price for each model, and prints a key.
key=$(python3 - "$gateway" "$simulator" "$token" <<'P'
import json, sys, time, urllib.error, urllib.request

gateway, simulator, token = sys.argv[1:]

def call(path, body):
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{gateway}{path}", json.dumps(body).encode(), headers, method="POST")
    return json.load(urllib.request.urlopen(request))

def wait_until_ready():
    for _ in range(300):
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{gateway}/api/status")
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    sys.exit("the gateway does not start")

wait_until_ready()
upstream = f"http://127.0.0.1:{simulator}"
providers = {"chat": "stepfun", "responses": "openai", "messages": "anthropic", "gemini": "google-gemini"}
for dialect, provider in providers.items():
    model = f"{dialect}-model"
    channel = {"name": model, "provider": provider, "base_url": upstream, "key": "sk-simulated", "models": [model]}
    call("/api/channels", channel)
    call("/api/prices", {"model": model, "model_ratio": "1", "completion_ratio": "2"})
print(call("/api/tokens", {"name": "sdk"})["key"])
P
)
"$2" "http://127.0.0.1:$gateway" "$key" "${@:3}"
