// with_isa ISA PROGRAM [ARGUMENT...]: runs a program with an instruction set. Exits with 77 (skipped) if the processor
// does not support it.
#include <cstdio>
#include <cstdlib>
#include <string>

#include <unistd.h>

#include "kernels/core/cpu/isa.h"

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: with_isa ISA PROGRAM [ARGUMENT...]\n");
    return 2;
  }
  setenv("BIRKHOFF_ISA", argv[1], 1);
  if (birkhoff::name_of(birkhoff::best_isa()) != argv[1]) {
    std::printf("skipped: the processor has no %s\n", argv[1]);
    return 77;
  }
  execv(argv[2], argv + 2);
  std::perror(argv[2]);
  return 2;
}
