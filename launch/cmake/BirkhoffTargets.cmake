# One static library for each top-level folder. Sources are listed by hand, and headers are registered so that each one
# is also compiled alone (target all_verify_interface_header_sets).

# birkhoff_precompile(TARGET): with BIRKHOFF_PRECOMPILE, the target gets the usual headers precompiled. All targets of one
# type have the same compiler options, so they share what the first of them compiled.
set(BIRKHOFF_PRECOMPILED_STATIC_LIBRARY <algorithm> <cmath> <filesystem> <functional> <map> <memory> <optional> <span>
  <sstream> <string> <vector>)
set(BIRKHOFF_PRECOMPILED_EXECUTABLE ${BIRKHOFF_PRECOMPILED_STATIC_LIBRARY} <fstream> <set> <gmock/gmock.h>)
function(birkhoff_precompile target)
  if(NOT BIRKHOFF_PRECOMPILE)
    return()
  endif()
  get_target_property(type ${target} TYPE)
  get_property(first GLOBAL PROPERTY birkhoff_precompiled_${type})
  if(first)
    target_precompile_headers(${target} REUSE_FROM ${first})
  else()
    target_precompile_headers(${target} PRIVATE ${BIRKHOFF_PRECOMPILED_${type}})
    set_property(GLOBAL PROPERTY birkhoff_precompiled_${type} ${target})
  endif()
endfunction()

# birkhoff_library(NAME dep...): defines the target birkhoff_NAME with the alias birkhoff::NAME and these public
# dependencies.
function(birkhoff_library name)
  add_library(birkhoff_${name} STATIC)
  add_library(birkhoff::${name} ALIAS birkhoff_${name})
  target_include_directories(birkhoff_${name} PUBLIC ${PROJECT_SOURCE_DIR})
  target_link_libraries(birkhoff_${name} PUBLIC birkhoff_flags ${ARGN})
  set_target_properties(birkhoff_${name} PROPERTIES VERIFY_INTERFACE_HEADER_SETS ON)
  birkhoff_precompile(birkhoff_${name})
endfunction()

# birkhoff_sources(NAME file...): compiles the .cc and .cu files and registers the .h files. Paths are relative to the
# folder NAME.
function(birkhoff_sources name)
  foreach(file IN LISTS ARGN)
    if(file MATCHES "\\.h$")
      target_sources(birkhoff_${name} PUBLIC FILE_SET HEADERS BASE_DIRS ${PROJECT_SOURCE_DIR}
        FILES ${PROJECT_SOURCE_DIR}/${name}/${file})
    else()
      target_sources(birkhoff_${name} PRIVATE ${PROJECT_SOURCE_DIR}/${name}/${file})
    endif()
  endforeach()
endfunction()

# birkhoff_private_headers(NAME file...): registers headers that include something the library does not pass on (mpi.h).
# They are not compiled alone, because that would need the private include paths.
function(birkhoff_private_headers name)
  foreach(file IN LISTS ARGN)
    target_sources(birkhoff_${name} PRIVATE ${PROJECT_SOURCE_DIR}/${name}/${file})
  endforeach()
endfunction()

# birkhoff_ops(FAMILY op...): each op consists of <op>.h, <op>.cc (checks, dispatch) and <op>_cpu.cc. The f64 references
# of all ops of a family are in <family>_reference.cc.
function(birkhoff_ops family)
  birkhoff_sources(kernels ${family}/${family}_reference.cc)
  foreach(op IN LISTS ARGN)
    birkhoff_sources(kernels ${family}/${op}.h ${family}/${op}.cc ${family}/${op}_cpu.cc)
  endforeach()
endfunction()

# birkhoff_cuda_ops(FAMILY op...): ops that also have a CUDA implementation, <op>_cuda.cu.
function(birkhoff_cuda_ops family)
  if(BIRKHOFF_WITH_CUDA)
    foreach(op IN LISTS ARGN)
      birkhoff_sources(kernels ${family}/${op}_cuda.cu)
    endforeach()
  endif()
endfunction()

if(BIRKHOFF_SANITIZE)
  set(BIRKHOFF_SIMD_OPTIMIZATION -O1)
else()
  set(BIRKHOFF_SIMD_OPTIMIZATION -O3)  # also in a debug build, whose tests would take too long without
endif()

# birkhoff_simd(FAMILY op...): compiles <op>_simd.cc once for each instruction set; kernels/core/cpu/isa.h chooses at
# run time. <family>_simd.h declares what all of them export. core/cpu is not a family of ops and lists its header
# itself.
set(BIRKHOFF_ISA_portable "")
set(BIRKHOFF_ISA_avx2 -mavx2 -mfma -mf16c)
set(BIRKHOFF_ISA_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma -mf16c -mprefer-vector-width=512)
set(BIRKHOFF_ISA_avx512_bf16 ${BIRKHOFF_ISA_avx512} -mavx512bf16 -mavx512vnni)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  set(BIRKHOFF_ISAS portable avx2 avx512 avx512_bf16)
else()
  set(BIRKHOFF_ISAS portable)
endif()
function(birkhoff_simd family)
  if(NOT family MATCHES "/")
    birkhoff_sources(kernels ${family}/${family}_simd.h)
  endif()
  foreach(isa IN LISTS BIRKHOFF_ISAS)
    set(target birkhoff_simd_${isa})
    if(NOT TARGET ${target})
      add_library(${target} OBJECT)
      target_include_directories(${target} PRIVATE ${PROJECT_SOURCE_DIR})
      target_link_libraries(${target} PRIVATE birkhoff_flags)
      target_compile_options(${target} PRIVATE ${BIRKHOFF_ISA_${isa}} ${BIRKHOFF_SIMD_OPTIMIZATION} -fassociative-math
        -fno-signed-zeros)
      target_compile_definitions(${target} PRIVATE BIRKHOFF_ISA=${isa})
      target_sources(birkhoff_kernels PRIVATE $<TARGET_OBJECTS:${target}>)
    endif()
    foreach(op IN LISTS ARGN)
      target_sources(${target} PRIVATE ${PROJECT_SOURCE_DIR}/kernels/${family}/${op}_simd.cc)
      # A source property, since this flag must come after the flags of all targets, which turn contraction off.
      set_source_files_properties(${PROJECT_SOURCE_DIR}/kernels/${family}/${op}_simd.cc
        PROPERTIES COMPILE_OPTIONS -ffp-contract=fast)
    endforeach()
  endforeach()
endfunction()

# birkhoff_test_support(file...): sources shared by tests, in a library that every test links.
function(birkhoff_test_support)
  add_library(birkhoff_test_support STATIC)
  foreach(file IN LISTS ARGN)
    target_sources(birkhoff_test_support PRIVATE ${PROJECT_SOURCE_DIR}/tests/${file}.cc)
  endforeach()
  target_link_libraries(birkhoff_test_support PUBLIC birkhoff::kernels GTest::gmock nlohmann_json::nlohmann_json)
endfunction()

# The environment of every test, in addition to what is inherited.
set(BIRKHOFF_TEST_ENVIRONMENT OMP_WAIT_POLICY=passive OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
  OMPI_MCA_odls_base_sigkill_timeout=1 PRTE_MCA_odls_base_sigkill_timeout=1
  BIRKHOFF_SOURCE_DIR=${PROJECT_SOURCE_DIR})
# Matches the end of the output if every test was skipped. If a test failed, the failure is printed after the skipped
# ones, and the pattern does not match.
set(BIRKHOFF_ALL_SKIPPED "\\[  PASSED  \\] 0 tests\\.\n(\\[  SKIPPED \\] [^\n]*\n)+\n*$")
if(BIRKHOFF_SANITIZE)
  set(support ${PROJECT_SOURCE_DIR}/tests/support)
  list(APPEND BIRKHOFF_TEST_ENVIRONMENT UBSAN_OPTIONS=print_stacktrace=1 LSAN_OPTIONS=suppressions=${support}/lsan.supp
    TSAN_OPTIONS=suppressions=${support}/tsan.supp)
endif()
if(BIRKHOFF_SANITIZE MATCHES "thread")
  list(APPEND BIRKHOFF_TEST_ENVIRONMENT OMP_NUM_THREADS=1)  # libgomp's barriers are invisible to the sanitizer
endif()

# Tests spend their time in the libraries, so their own sources only need to compile quickly. The code that sanitizers add
# takes most of the time to optimize.
if(BIRKHOFF_SANITIZE)
  set(BIRKHOFF_TEST_OPTIMIZATION -O0)
else()
  set(BIRKHOFF_TEST_OPTIMIZATION -O1)
endif()

# birkhoff_test(PATH [LINK target...] [LABELS label...] [RANKS n]): makes tests/PATH_test.cc a CTest entry named PATH.
# The target LABEL_tests of each label builds it too. With RANKS it runs under mpirun, with main() from
# tests/support/mpi_main.cc.
function(birkhoff_test path)
  cmake_parse_arguments(arg "" "RANKS;TIMEOUT" "LINK;LABELS;ARGS" ${ARGN})
  string(REPLACE "/" "_" target "test_${path}")
  add_executable(${target} ${PROJECT_SOURCE_DIR}/tests/${path}_test.cc)
  target_link_libraries(${target} PRIVATE birkhoff_test_support ${arg_LINK} GTest::gmock)
  target_compile_options(${target} PRIVATE $<$<CONFIG:Release>:${BIRKHOFF_TEST_OPTIMIZATION}>)
  birkhoff_precompile(${target})
  if(NOT arg_LABELS)
    set(arg_LABELS unit)
  endif()
  foreach(label IN LISTS arg_LABELS)
    if(NOT TARGET ${label}_tests)
      add_custom_target(${label}_tests)
    endif()
    add_dependencies(${label}_tests ${target})
  endforeach()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  if(BIRKHOFF_SANITIZE)
    math(EXPR arg_TIMEOUT "3 * ${arg_TIMEOUT}")
  endif()
  set(command $<TARGET_FILE:${target}> ${arg_ARGS})
  if(arg_RANKS)
    target_link_libraries(${target} PRIVATE birkhoff_mpi_main)
    set(command ${MPIEXEC_EXECUTABLE} -n ${arg_RANKS} --oversubscribe --bind-to none ${command})
  else()
    target_link_libraries(${target} PRIVATE GTest::gmock_main)
  endif()
  add_test(NAME ${path} COMMAND ${command})
  if(arg_RANKS)
    set_tests_properties(${path} PROPERTIES PROCESSORS ${arg_RANKS})
  endif()
  set_tests_properties(${path} PROPERTIES LABELS "${arg_LABELS}" TIMEOUT ${arg_TIMEOUT}
    ENVIRONMENT "${BIRKHOFF_TEST_ENVIRONMENT}" SKIP_REGULAR_EXPRESSION "${BIRKHOFF_ALL_SKIPPED}")
endfunction()

# birkhoff_vectors(KIND PATH FILTER): adds the tests in PATH that read one kind of vector file, selected by FILTER, as
# the CTest entry Vectors/KIND.
function(birkhoff_vectors kind path filter)
  string(REPLACE "/" "_" target "test_${path}")
  add_test(NAME Vectors/${kind} COMMAND ${target} --gtest_filter=${filter})
  set_tests_properties(Vectors/${kind} PROPERTIES LABELS vectors TIMEOUT 300
    ENVIRONMENT "${BIRKHOFF_TEST_ENVIRONMENT}" SKIP_REGULAR_EXPRESSION "${BIRKHOFF_ALL_SKIPPED}")
  if(NOT TARGET vectors_tests)
    add_custom_target(vectors_tests)
  endif()
  add_dependencies(vectors_tests ${target})
endfunction()

# birkhoff_isa_test(PATH): runs the test PATH again with each lower instruction set, as isa/ISA/PATH. It is skipped if
# the processor does not support the instruction set. Tests that only use the reference device are left out.
function(birkhoff_isa_test path)
  string(REPLACE "/" "_" target "test_${path}")
  if(NOT TARGET ${target})
    message(SEND_ERROR "an op with a vectorized kernel has no test ${path}")
  endif()
  foreach(isa IN ITEMS portable avx2 avx512)
    add_test(NAME isa/${isa}/${path}
      COMMAND with_isa ${isa} $<TARGET_FILE:${target}> --gtest_filter=-*FiniteDifferences*:*Refuses*)
    set_tests_properties(isa/${isa}/${path} PROPERTIES LABELS isa TIMEOUT 300 SKIP_RETURN_CODE 77
      ENVIRONMENT "${BIRKHOFF_TEST_ENVIRONMENT}")
  endforeach()
  add_dependencies(isa_tests ${target})
endfunction()

# birkhoff_onednn_test(PATH): runs the test PATH again with oneDNN limited to AVX2, which has no bf16.
function(birkhoff_onednn_test path)
  string(REPLACE "/" "_" target "test_${path}")
  add_test(NAME isa/onednn_avx2/${path} COMMAND ${target} --gtest_filter=-*FiniteDifferences*:*Refuses*)
  set_tests_properties(isa/onednn_avx2/${path} PROPERTIES LABELS isa TIMEOUT 300
    ENVIRONMENT "${BIRKHOFF_TEST_ENVIRONMENT};ONEDNN_MAX_CPU_ISA=AVX2")
  add_dependencies(isa_tests ${target})
endfunction()
