#!/usr/bin/env bash
# Fetch the pretrained networks that the tests here read, where they can be had: the tests are skipped without them.
cd "$(dirname "$0")" || exit
timeout 240 python3 ../../examples/fine-tuning/fetch.py --all --to files >/dev/null 2>&1
echo "pretrained: $(find files -type f 2>/dev/null | wc -l) of 15 files"
