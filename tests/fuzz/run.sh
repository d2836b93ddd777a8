#!/bin/sh
# run.sh TARGET SEEDS SECONDS RUNS [FOUND]: first that the target finds a defect planted behind what it reads, then that
# it finds no other in so many seconds and runs. Equal runs try equal inputs, unless FOUND, a folder, keeps new ones from
# run to run. What crashes stays in the working folder.
set -u
target=$1 seeds=$2 seconds=$3 runs=$4
name=$(basename "$target")
work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
found=${5:-$work/found}
export ASAN_OPTIONS=detect_leaks=0  # libhdf5 leaks where it refuses a file
limits="-seed=1 -detect_leaks=0 -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=1024 -max_len=20000"
mkdir -p "$work/planted" "$found"
BIRKHOFF_FUZZ_PLANTED=1 "$target" $limits -max_total_time=60 -artifact_prefix="$work/planted/" "$work/planted" "$seeds" \
  >"$work/log" 2>&1
if ! grep -q "planted defect" "$work/log"; then
  echo "$name did not find the planted defect in 60 s"
  tail -30 "$work/log"
  exit 1
fi
echo "$name: found the planted defect"
"$target" $limits -max_total_time="$seconds" -runs="$runs" -print_final_stats=1 -artifact_prefix="$name-" "$found" \
  "$seeds" >"$work/log" 2>&1
status=$?
tail -30 "$work/log"
exit $status
