#!/usr/bin/env bash
# Renew the lock files: every package with its hashes, no index's address. Needs `uv` on PATH.
set -euo pipefail
cd "$(dirname "$0")/.."
lock() {
  uv pip compile "$@" --generate-hashes --no-emit-index-url --no-emit-find-links --python-version 3.11 \
    --custom-compile-command tools/lock.sh --quiet
}
lock pyproject.toml --extra dev -o requirements.lock
lock tools/emulator/requirements.in -o tools/emulator/requirements.lock
lock examples/chat/requirements.in -o examples/chat/requirements.lock
