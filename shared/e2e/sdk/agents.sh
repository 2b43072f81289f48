#!/usr/bin/env bash
# Runs two coding agents that people use daily against a gateway, each on a model of every dialect: shared/e2e/sdk/agents.sh URL KEY [ONLY]
#
# @openai/codex speaks Responses, @anthropic-ai/claude-code speaks Messages. Both get a home of their own, and a folder with nothing in it.
# A question about the weather has the simulator call one of the agent's tools: what comes of it is read back in the last answer.
set -euo pipefail
url=$1 key=$2 only=${3:-}
cache=${SLUICE_SDK_CACHE:?}/agents
mkdir -p "$cache"
npm install --prefix "$cache" --no-audit --no-fund --silent @openai/codex@0.169.0 @anthropic-ai/claude-code@2.1.197
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

codex() {
  mkdir -p "$work/codex"
  CODEX_HOME=$work/codex SLUICE_KEY=$key timeout 90 "$cache/node_modules/.bin/codex" exec --skip-git-repo-check --model "$1" \
    -c model_provider=sluice -c 'model_providers.sluice.name="Sluice"' -c "model_providers.sluice.base_url=\"$url/v1\"" \
    -c 'model_providers.sluice.wire_api="responses"' -c 'model_providers.sluice.env_key="SLUICE_KEY"' "$2" </dev/null
}

claude() {
  HOME=$work ANTHROPIC_BASE_URL=$url ANTHROPIC_AUTH_TOKEN=$key ANTHROPIC_MODEL=$1 ANTHROPIC_SMALL_FAST_MODEL=$1 \
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC=1 timeout 90 "$cache/node_modules/.bin/claude" -p "$2" </dev/null
}

passed=0 failed=0
# NAME PATTERN COMMAND...: the command succeeds and says something that fits.
try() {
  local name=$1 pattern=$2
  shift 2
  [[ -z $only || $name == *$only* ]] || return 0
  if (cd "$work" && mkdir -p empty && cd empty && "$@") >"$work/said" 2>&1 && grep -qE "$pattern" "$work/said"; then
    passed=$((passed + 1))
    echo "ok    $name"
  else
    failed=$((failed + 1))
    echo "FAIL  $name"
    tail -n 20 "$work/said"
  fi
}

for agent in codex claude; do
  for dialect in responses chat messages gemini; do
    try "$agent on $dialect: a question" 'provider simulator' "$agent" "$dialect-model" 'Say hello in three words.'
    try "$agent on $dialect: a tool" ' said: ' "$agent" "$dialect-model" 'What is the weather in Paris?'
  done
done
echo "$passed passed, $failed failed"
[[ $failed == 0 && $passed != 0 ]]
