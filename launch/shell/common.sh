# Shared by quickstart.sh, test.sh and bench.sh: packages, stages, environment. Sourced, never run.
set -euo pipefail
export LC_ALL=C.UTF-8  # so that numbers are printed with a decimal point
ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
# Seconds between mpirun's SIGTERM and its SIGKILL, in which the ranks write a checkpoint (docs/exit_codes.md).
export OMPI_MCA_odls_base_sigkill_timeout=${OMPI_MCA_odls_base_sigkill_timeout:-5}
# Open MPI 5 reads these names instead.
export PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe PRTE_MCA_hwloc_default_binding_policy=none
export PRTE_MCA_odls_base_sigkill_timeout=$OMPI_MCA_odls_base_sigkill_timeout

# ccache hashes paths below the checkout relative to the build folder, so that clones in other places share compiled
# files.
export CCACHE_BASEDIR=${CCACHE_BASEDIR:-$ROOT} CCACHE_NOHASHDIR=${CCACHE_NOHASHDIR:-1}
# What ccache requires for sources that are compiled with a precompiled header.
export CCACHE_SLOPPINESS=${CCACHE_SLOPPINESS:-pch_defines,time_macros}

BUILD_PACKAGES=(g++ cmake ninja-build ccache pkg-config git ca-certificates
  libopenmpi-dev openmpi-bin libhdf5-openmpi-dev libyaml-cpp-dev prometheus-cpp-dev libmicrohttpd-dev
  libcurl4-openssl-dev zlib1g-dev libdnnl-dev ocl-icd-opencl-dev libcli11-dev libfmt-dev nlohmann-json3-dev libzstd-dev libxxhash-dev libicu-dev libpcre2-dev)
TEST_PACKAGES=(libgtest-dev libgmock-dev python3)
ALL_PACKAGES=(clang clang-format lld libclang-rt-dev libomp-dev python3-venv python3-h5py)
CORPUS_PACKAGES=(dict-gcide wordnet-base xz-utils)

STAGES=() stage_name='' stage_started=0
# stage TEXT: ends the previous stage, keeping its time, and prints the title of the next one.
stage() {
  finish_stage
  stage_name=$1 stage_started=$SECONDS
  printf '\n== %s\n' "$1"
}
finish_stage() {
  [ -n "$stage_name" ] || return 0
  STAGES+=("$(printf '%5d s  %s' $((SECONDS - stage_started)) "$stage_name")")
  stage_name=''
}
print_stages() {
  finish_stage
  printf '\n== time by stage\n'
  printf '%s\n' "${STAGES[@]}"
}

die() {
  printf '%s: %s\n' "$(basename "$0")" "$1" >&2
  exit "${2:-2}"
}

installed() { dpkg-query -W -f='${Status}\n' "$1" 2>/dev/null | grep -q '^install ok installed'; }

# install_packages NAME...: installs the missing packages by apt, as root or through sudo.
install_packages() {
  command -v apt-get >/dev/null || { echo "no apt-get here: make sure these are installed: $*"; return 0; }
  local missing=() name
  for name in "$@"; do installed "$name" || missing+=("$name"); done
  [ ${#missing[@]} = 0 ] && { echo "all packages are installed"; return 0; }
  local as_root=()
  if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || die "these packages are missing, and neither root nor sudo is at hand: ${missing[*]}"
    as_root=(sudo)
  fi
  echo "installing: ${missing[*]}"
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
    >/dev/null
}

# configure_and_build PRESET [TARGET...]. TESTS=OFF leaves out the tests and the packages that only they need.
configure_and_build() {
  local preset=$1 log
  shift
  log=$ROOT/build/$preset/configure.log
  mkdir -p "$(dirname "$log")"
  (cd "$ROOT" && cmake --preset "$preset" -DBIRKHOFF_TESTS="${TESTS:-ON}" >"$log" 2>&1) ||
    { cat "$log" && echo "configuring preset $preset failed" && return 1; }
  (cd "$ROOT" && cmake --build --preset "$preset" --parallel "${JOBS:-$(nproc)}" ${1:+--target "$@"})
}
