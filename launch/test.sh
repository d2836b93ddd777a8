#!/usr/bin/env bash
# Builds Birkhoff and runs its tests.
#   launch/test.sh          one g++ build and every CPU test that does not need PyPI
#   launch/test.sh --all    also: a debug build by clang, address and thread sanitizers, short runs of the fuzz
#                           targets, the CUDA build, format, layering, header self-sufficiency, and the tests that
#                           need PyPI
#   launch/test.sh --proof  one g++ build and the whole proof of layouts (tests/proof)
# Packages are installed by apt where they are missing (root or sudo). JOBS limits the parallel jobs.
source "$(dirname "$0")/shell/common.sh"

ALL=0
PROOF=0
for argument in "$@"; do
  case $argument in
    --all) ALL=1 ;;
    --proof) PROOF=1 ;;
    -h | --help) sed -n '2,8s/^# \?//p' "$0"; exit 0 ;;
    *) die "unknown argument '$argument'; expected --all, --proof or nothing" ;;
  esac
done
if [ $ALL$PROOF = 11 ]; then die "--all and --proof were given; expected one of them"; fi

# skipped LOG: prints which tests in CTest's log were skipped, and why.
skipped() {
  awk '
    function say(reason) {
      if (!any++) print "\nskipped, and why:"
      if (!said[test, reason]++) print "  " test ": " reason
    }
    / Testing: / { test = $NF }
    / Skipped$/ { reading = 1; reason = ""; next }
    /^\[  SKIPPED \] .* \([0-9]+ ms\)$/ { say(reason); reading = 0 }
    reading { reason = reason (reason == "" ? "" : " ") $0 }
    /^(skipped|SKIPPED): / { say(substr($0, 10)) }' "$1"
}

# run_tests PRESET [ctest argument...]: runs the tests. CTest's summary is held back until the skipped tests are listed,
# so that it ends the output.
run_tests() {
  local preset=$1 held status=0
  shift
  held=$(mktemp)
  (cd "$ROOT" && ctest --preset "$preset" --parallel "${JOBS:-$(nproc)}" "$@" 2>&1) |
    awk -v held="$held" '/^[0-9]+% tests passed/ { late = 1 } late { print >held; next } { print; fflush() }' || status=$?
  skipped "$ROOT/build/$preset/Testing/Temporary/LastTest.log"
  printf '\n'
  cat "$held"
  rm -f "$held"
  return $status
}

# check WHAT TOOL COMMAND...: runs one stage, or skips it if TOOL is missing. A failure is remembered and reported at
# the end.
FAILED=()
check() {
  local what=$1 tool=$2
  shift 2
  stage "$what"
  if ! command -v "$tool" >/dev/null; then
    echo "SKIPPED: there is no $tool here"
  elif "$@"; then
    echo "$what: ok"
  else
    echo "$what: FAILED"
    FAILED+=("$what")
  fi
}

check_format() {
  (cd "$ROOT" && find kernels parallel data trainer launch tests -regex '.*\.\(h\|cc\|cu\|cuh\)' -print0 |
    xargs -0 clang-format --dry-run -Werror)
}
check_headers() { cmake --build "$ROOT/build/cpu" --target all_verify_interface_header_sets -j "${JOBS:-$(nproc)}"; }
# Also the only build by clang without sanitizers, so everything is built. Without optimization it is also the fastest
# one.
check_debug() { configure_and_build debug && run_tests debug -L unit; }
check_asan() { configure_and_build asan unit_tests ranks_tests && run_tests asan -L 'unit|ranks'; }
check_fuzz() { configure_and_build fuzz fuzz_tests && run_tests fuzz -L fuzz; }
check_tsan() { configure_and_build tsan ranks_tests && run_tests tsan -L ranks; }
check_cuda() { configure_and_build cuda birkhoff cuda_tests && run_tests cuda -L cuda; }

stage "packages"
install_packages "${BUILD_PACKAGES[@]}" "${TEST_PACKAGES[@]}" "${CORPUS_PACKAGES[@]}"
if [ $ALL = 1 ]; then install_packages "${ALL_PACKAGES[@]}"; fi
PATH=$PATH:/usr/local/cuda/bin

if [ $ALL = 1 ]; then
  check "format" clang-format check_format
  check "layering" python3 python3 "$ROOT/tests/layering_test.py"
fi
stage "build (g++)"
configure_and_build cpu
if [ $ALL = 1 ]; then
  check "headers compile alone" cmake check_headers
  check "debug build (clang)" clang++ check_debug
  check "address and undefined-behavior sanitizers (clang)" clang++ check_asan
  check "thread sanitizer" g++ check_tsan
  check "fuzz targets" clang++ check_fuzz
  check "CUDA build" nvcc check_cuda
fi

print_stages
if [ ${#FAILED[@]} -gt 0 ]; then printf 'FAILED: %s\n' "${FAILED[@]}"; fi

# Last, so that CTest's summary ends the output.
printf '\n== tests (g++)\n'
case $ALL$PROOF in
  10) run_tests cpu -LE proof ;;
  01) run_tests cpu -L proof --verbose ;;
  *) run_tests cpu -LE 'oracle|proof' ;;
esac
[ ${#FAILED[@]} = 0 ]
