#!/bin/sh
# run.sh TARGET SEEDS SECONDS RUNS [FOUND]: checks first that the target finds the defect planted behind its reader,
# then that it finds no other defect within SECONDS seconds and RUNS inputs. All runs try the same inputs, unless FOUND
# names a folder that keeps new inputs from one run to the next. Inputs that crash are left in the current folder.
set -u
target=$1 seeds=$2 seconds=$3 runs=$4
name=$(basename "$target")
# In memory if possible, because every input is written to a file.
work=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d) && trap 'rm -rf "$work"' EXIT
export BIRKHOFF_FUZZ_SCRATCH="$work"
found=${5:-$work/found}
export ASAN_OPTIONS=detect_leaks=0  # libhdf5 leaks when it refuses a file
limits="-detect_leaks=0 -timeout=10 -rss_limit_mb=1024 -malloc_limit_mb=1024 -max_len=20000"
mkdir -p "$found"
# Many short runs from the seeds: a long run would drift away from the seeds to inputs that are new but invalid.
round=0
until [ -f "$work/log" ] && grep -q "planted defect" "$work/log"; do
  round=$((round + 1))
  if [ $round -gt 200 ]; then
    echo "$name did not find the planted defect"
    tail -30 "$work/log"
    exit 1
  fi
  rm -rf "$work/planted"
  mkdir "$work/planted"
  BIRKHOFF_FUZZ_PLANTED=1 "$target" $limits -seed=$round -runs=300 -mutate_depth=1 -artifact_prefix="$work/planted/" \
    "$work/planted" "$seeds" >"$work/log" 2>&1
done
echo "$name: found the planted defect in round $round"
"$target" $limits -seed=1 -max_total_time="$seconds" -runs="$runs" -print_final_stats=1 -artifact_prefix="$name-" "$found" \
  "$seeds" >"$work/log" 2>&1
status=$?
grep -v "^#\|NEW_FUNC" "$work/log" | tail -60
grep "^#.*cov" "$work/log" | tail -1
exit $status
