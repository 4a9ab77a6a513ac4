#!/usr/bin/env bash
# Install the language server that the tests of editors need, where it can be had: the tests are skipped without it.
cd "$(dirname "$0")/node" || exit
if ! timeout 120 npm ci --ignore-scripts --silent 2>/dev/null; then
  rm -rf node_modules  # may be half of it
fi
echo "editor: $([ -d node_modules ] && echo yaml-language-server || echo '(no Node, or no package)')"
