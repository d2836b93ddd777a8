#!/usr/bin/env bash
# Builds Birkhoff, runs every bench scenario and prints one table of the ratios with their goals (docs/benchmarks.md).
#   launch/bench.sh [--torch | --no-torch] [--rounds N] [--directory DIR]
# --torch installs python3-torch with apt. The comparison with PyTorch is skipped with --no-torch or if there is no
# PyTorch, and it takes half of the N rounds. Reports go to build/cpu/bench. The scenario "checkpoint" writes its files
# to DIR, by default build/cpu/bench.
source "$(dirname "$0")/shell/common.sh"

ROUNDS=10 TORCH='' OUT=$ROOT/build/cpu/bench DIRECTORY=''
while [ $# -gt 0 ]; do
  case $1 in
    --torch) TORCH=yes ;;
    --no-torch) TORCH=no ;;
    --rounds) ROUNDS=${2:?--rounds needs a number}; shift ;;
    --directory) DIRECTORY=${2:?--directory needs a folder}; shift ;;
    -h | --help) sed -n '2,6s/^# \?//p' "$0"; exit 0 ;;
    *) die "unknown argument '$1'; expected --torch, --no-torch, --rounds N or --directory DIR" ;;
  esac
  shift
done
BIRKHOFF=$ROOT/build/cpu/birkhoff
GPT=$ROOT/configs/bench/gpt_14m.yaml

# report NAME RANKS SCENARIO ARGUMENT...: runs a scenario, prints its report and keeps it in $OUT/NAME.json.
report() {
  local name=$1 ranks=$2 launcher=()
  shift 2
  if [ "$ranks" -gt 1 ]; then launcher=(mpirun -n "$ranks"); fi
  stage "$name: birkhoff bench $*"
  "${launcher[@]}" "$BIRKHOFF" bench "$@" --output "$OUT/$name.json"
}

# row TEXT FILE KEY GOAL: prints a row of the table with the first number under KEY in the report FILE, or "-".
row() {
  local value=''
  if [ -e "$OUT/$2.json" ]; then value=$(sed -n "s/.*\"$3\": *\([-0-9.e+]*\).*/\1/p" "$OUT/$2.json" | head -n 1); fi
  if [ -n "$value" ]; then value=$(printf '%.3f' "$value"); fi
  printf '%-50s %10s   %s\n' "$1" "${value:--}" "$4"
}

stage "packages"
install_packages "${BUILD_PACKAGES[@]}" python3
# PyTorch calls BLAS for its f32 products
if [ "$TORCH" = yes ]; then install_packages python3-torch libopenblas0-pthread; fi
stage "build: the program birkhoff, into build/cpu"
installed libgtest-dev && installed libgmock-dev || TESTS=OFF
configure_and_build cpu birkhoff
rm -rf "$OUT"
mkdir -p "$OUT"
DIRECTORY=${DIRECTORY:-$OUT}

for recipe in f32 bf16; do
  if [ "$TORCH" = no ]; then break; fi
  stage "$recipe: birkhoff and PyTorch in turn"
  status=0
  python3 "$ROOT/tests/bench/dense_torch.py" --birkhoff "$BIRKHOFF" --recipe $recipe \
    --rounds $(((ROUNDS + 1) / 2)) --json >"$OUT/torch_$recipe.json" || status=$?
  cat "$OUT/torch_$recipe.json"
  [ $status = 0 ] || [ $status = 77 ] || exit $status
done
report step 1 step --config "$GPT" --rounds "$ROUNDS"
report step_f32 1 step --config "$GPT" --set precision.recipe=f32 --rounds "$ROUNDS"
report step_quickstart 1 step --config "$ROOT/configs/quickstart.yaml" --set run.threads=2 --rounds "$ROUNDS"
report residual_384 1 residual --config "$GPT" --rounds "$ROUNDS"
report residual_2560 1 residual --config "$ROOT/configs/bench/mhc_2560.yaml" --rounds "$ROUNDS"
report checkpoint 1 checkpoint --config "$GPT" --rounds "$ROUNDS" --directory "$DIRECTORY"
report loader 1 loader --config "$ROOT/configs/quickstart.yaml" --set run.threads=2 --rounds "$ROUNDS" --directory "$OUT"
report ranks 2 ranks --config "$GPT" --rounds "$ROUNDS"
report layout 2 layout --config "$ROOT/configs/quickstart.yaml" --rounds "$ROUNDS"
report collectives 2 collectives --rounds "$ROUNDS"
report busy_threads 1 busy --config "$ROOT/configs/quickstart.yaml" --set run.threads=2 --rounds "$ROUNDS"
report busy_ranks 2 busy --config "$ROOT/configs/quickstart.yaml" --rounds "$ROUNDS"

print_stages
printf '\n%-50s %10s   %s\n' "ratios in one run" "measured" "goal"
row "dense GPT over PyTorch, bf16" torch_bf16 birkhoff_over_torch "at least 1.3"
row "dense GPT over PyTorch, f32" torch_f32 birkhoff_over_torch "at least 1.3"
row "mHC over plain, C = 384" residual_384 mhc_over_plain "at most 1.20"
row "single-pass mHC over plain, C = 384" residual_384 mhc_single_pass_over_plain ""
row "mHC over plain, one block, C = 2560" residual_2560 mhc_over_plain_gradients "at most 1.05"
row "single-pass mHC over plain, one block, C = 2560" residual_2560 mhc_single_pass_over_plain_gradients ""
row "predicted over measured memory, dense GPT" step predicted_over_measured "0.9 to 1.1"
row "predicted over measured memory, quickstart" step_quickstart predicted_over_measured "0.9 to 1.1"
row "speed of a checkpoint over a plain write" checkpoint checkpoint_over_plain_write "at least 0.85"
row "time training is blocked over time of the write" checkpoint blocked_over_write "at most 0.05"
row "loader over the step it feeds" loader loader_over_step "above 1"
row "loader over a plain read with checksum" loader loader_over_plain_read ""
row "speed of 2 ranks in one run over 2 separate runs" ranks connected_over_unconnected "at least 0.94"
row "reduction hidden behind backward" ranks reduction_hidden_share ""
row "speed of tp2 over dp2, quickstart" layout tp_over_dp "at least 0.80"
row "speed of dp2.ep2 over dp2, quickstart" layout ep_over_dp "at least 0.85"
row "bytes that differ from describe layout" layout difference_from_plan_bytes "0"
row "planned over measured memory, least" layout least_planned_over_measured "at least 0.9"
row "planned over measured memory, most" layout most_planned_over_measured "at most 1.1"
row "tp x activations between divided layers" layout tp_times_activations "0.95 to 1.05"
row "all_reduce over MPI's, one host" collectives all_reduce_over_mpi "at least 3"
row "reduce_scatter_v over MPI's, one host" collectives reduce_scatter_v_over_mpi "at least 3"
row "all_gather_v over MPI's, one host" collectives all_gather_v_over_mpi "at least 0.8"
row "all_to_all_v over MPI's, one host" collectives all_to_all_v_over_mpi "at least 0.8"
row "busy host, 2 threads: step over sleeping waits" busy_threads shipped_over_sleeping "at most 1.3"
row "busy host, 2 ranks: step over sleeping waits" busy_ranks shipped_over_sleeping "at most 1.3"
