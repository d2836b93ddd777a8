#!/bin/sh
# run.sh TARGET SEEDS SECONDS: first that the target finds a defect planted behind what it reads, then that it finds no
# other for so many seconds. New inputs are kept in a folder beside the seeds; what crashes stays in the working folder.
set -u
target=$1 seeds=$2 seconds=$3
name=$(basename "$target")
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
# libhdf5 leaks where it refuses a file.
limits="-detect_leaks=0 -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=1024 -max_len=16384 -print_final_stats=1"
mkdir -p "$work/planted" "$seeds-found"
if BIRKHOFF_FUZZ_PLANTED=1 "$target" $limits -max_total_time=60 -artifact_prefix="$work/planted/" "$work/planted" "$seeds" \
  >"$work/log" 2>&1; then
  echo "$name did not find the planted defect in 60 s"
  tail -5 "$work/log"
  exit 1
fi
if ! grep -q "planted defect" "$work/log"; then
  cat "$work/log"
  exit 1
fi
echo "$name: the planted defect was found after $(grep -c '^#' "$work/log") lines of progress"
"$target" $limits -max_total_time="$seconds" -artifact_prefix="$name-" "$seeds-found" "$seeds" >"$work/log" 2>&1
status=$?
tail -12 "$work/log"
exit $status
