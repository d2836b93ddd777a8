#!/usr/bin/env bash
# Builds Birkhoff and runs its tests.
#   launch/test.sh          one g++ build and every CPU test
#   launch/test.sh --all    besides: clang, address and thread sanitizers, the CUDA link, format, layering, header
#                           self-sufficiency, and the tests that need PyPI
# Packages are installed by apt where they are missing (root or sudo).
source "$(dirname "$0")/shell/common.sh"

ALL=0
for argument in "$@"; do
  case $argument in
    --all) ALL=1 ;;
    -h | --help) sed -n '2,6s/^# \?//p' "$0"; exit 0 ;;
    *) die "unknown argument '$argument'; expected --all or nothing" ;;
  esac
done

# run_tests PRESET [ctest argument...]; the summary of every run is repeated at the end.
FAILED=()
run_tests() {
  local preset=$1
  shift
  (cd "$ROOT" && ctest --preset "$preset" --parallel "${JOBS:-$(nproc)}" "$@") || FAILED+=("tests of preset $preset")
}
check() {
  local what=$1
  shift
  if "$@"; then echo "$what: ok"; else FAILED+=("$what"); fi
}

check_format() {
  local files
  files=$(cd "$ROOT" && find kernels parallel data trainer launch tests -name '*.h' -o -name '*.cc' -o -name '*.cu' -o -name '*.cuh')
  (cd "$ROOT" && echo "$files" | xargs clang-format --dry-run -Werror)
}

headers_alone() { cmake --build "$ROOT/build/cpu" --target all_verify_interface_header_sets; }

cuda_link() {
  if ! command -v nvcc >/dev/null && [ ! -x /usr/local/cuda/bin/nvcc ]; then
    echo "skipped: no CUDA Toolkit here"
    return 0
  fi
  configure_and_build cuda birkhoff cuda_tests && run_tests cuda -L cuda
}

stage "packages"
install_packages "${BUILD_PACKAGES[@]}" "${TEST_PACKAGES[@]}" "${CORPUS_PACKAGES[@]}"
[ $ALL = 1 ] && install_packages "${ALL_PACKAGES[@]}"

if [ $ALL = 1 ]; then
  stage "format, layering"
  check "format" check_format
  check "layering" python3 "$ROOT/tests/layering_test.py"
fi

stage "build (g++)"
configure_and_build cpu

if [ $ALL = 1 ]; then
  stage "headers compile alone"
  check "headers" headers_alone
  stage "build (clang)"
  check "clang build" configure_and_build clang
  stage "address and undefined-behaviour sanitizers"
  configure_and_build asan
  run_tests asan -L 'unit|ranks' -LE 'slow'
  stage "thread sanitizer"
  configure_and_build tsan ranks_tests
  run_tests tsan -L ranks
  stage "CUDA link"
  check "CUDA" cuda_link
fi

stage "tests (g++)"
if [ $ALL = 1 ]; then run_tests cpu; else run_tests cpu -LE oracle; fi

print_stages
if [ ${#FAILED[@]} -gt 0 ]; then
  printf 'FAILED: %s\n' "${FAILED[@]}"
  exit 1
fi
echo "all passed"
