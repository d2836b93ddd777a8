# Language standard, warnings and sanitizers of every target of this project.
if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()
set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(THREADS_PREFER_PTHREAD_FLAG ON)
find_package(Threads REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX)

find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()

add_library(birkhoff_flags INTERFACE)
target_compile_options(birkhoff_flags INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Werror -fno-math-errno -fno-trapping-math -ffp-contract=off>)
target_link_libraries(birkhoff_flags INTERFACE Threads::Threads)
if(BIRKHOFF_PRECOMPILE AND CMAKE_CXX_COMPILER_ID MATCHES "Clang")
  # Without the time of the headers in it, ccache can keep a precompiled header, and what is compiled with it.
  target_compile_options(birkhoff_flags INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:SHELL:-Xclang -fno-pch-timestamp>")
endif()
# Debug builds check the preconditions of the standard library, and that each tensor is on the expected device.
target_compile_definitions(birkhoff_flags INTERFACE $<$<CONFIG:Debug>:_GLIBCXX_ASSERTIONS BIRKHOFF_CHECKED>)
if(BIRKHOFF_SANITIZE)
  target_compile_options(birkhoff_flags INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${BIRKHOFF_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all -g1>)
  string(REPLACE "-O3" "-O1" CMAKE_CXX_FLAGS_RELEASE "${CMAKE_CXX_FLAGS_RELEASE}")
  # With sanitizers g++ reports initialized values as uninitialized, as its manual warns.
  target_compile_options(birkhoff_flags INTERFACE
    $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-Wno-maybe-uninitialized>)
  target_link_options(birkhoff_flags INTERFACE -fsanitize=${BIRKHOFF_SANITIZE})
  target_compile_definitions(birkhoff_flags INTERFACE BIRKHOFF_SANITIZED BIRKHOFF_CHECKED)
endif()
