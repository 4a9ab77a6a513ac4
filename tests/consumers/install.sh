#!/usr/bin/env bash
# Install what the tests of Node and of a browser need, where it can be had: the tests are skipped without it.
cd "$(dirname "$0")/node" || exit
if ! ONNXRUNTIME_NODE_INSTALL=skip timeout 120 npm ci --ignore-scripts --silent 2>/dev/null; then
  rm -rf node_modules  # may be half of them
fi

browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; }
apt() { DEBIAN_FRONTEND=noninteractive timeout 120 apt-get "$@" >/dev/null 2>&1; }
if ! browser >/dev/null && [ "$(id -u)" = 0 ]; then
  apt install -qq -y --no-install-recommends chromium || { apt update -qq && apt install -qq -y --no-install-recommends chromium; }
fi
echo "consumers: Python, Node $([ -d node_modules ] && node --version || echo '(none, or no packages)'), browser $(browser || echo '(none)')"
