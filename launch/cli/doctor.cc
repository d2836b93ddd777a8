#include <algorithm>
#include <array>
#include <cstdio>
#include <fstream>
#include <vector>

#include <sched.h>
#include <unistd.h>

#include "kernels/core/arena.h"
#include "kernels/core/cpu/isa.h"
#include "kernels/core/cpu/parallel.h"
#include "kernels/core/cuda_memory.h"
#include "kernels/core/error.h"
#include "kernels/core/host_memory.h"
#include "kernels/elementwise/copy.h"
#include "kernels/gemm/gemm.h"
#include "launch/cli/commands.h"
#include "parallel/comm/agree.h"
#include "parallel/comm/host_values.h"
#include "trainer/bench/timing.h"

namespace birkhoff {
namespace {

constexpr double kGiB = 1 << 30;

// The value of a line "Name   : value" in a file under /proc, or an empty string.
std::string proc_value(const char* path, const std::string& name) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with(name)) continue;
    const size_t colon = line.find(':');
    const size_t start = line.find_first_not_of(" \t", colon + 1);
    return start == std::string::npos ? "" : line.substr(start);
  }
  return "";
}

int usable_cores() {
  cpu_set_t set;
  return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

double gemm_gflops(DType dtype) {
  constexpr int64_t kSize = 1024;
  Arena arena(Device{});
  Stream stream{Device{}};
  const Tensor a = arena.take(dtype, {kSize, kSize}), b = arena.take(dtype, {kSize, kSize});
  const Tensor c = arena.take(dtype, {kSize, kSize});
  fill_zero(stream, a);
  fill_zero(stream, b);
  GemmArgs args;
  args.c = c;
  args.a = a;
  args.b = b;
  return 2e-9 * double(kSize) * kSize * kSize / best_seconds_of([&] { gemm(stream, args); });
}

// Gigabytes that all threads together read and write per second. They copy 128 MiB, which most caches cannot hold.
double copy_gb_per_second() {
  constexpr int64_t kCount = int64_t{16} << 20;
  std::vector<double> from(kCount, 1.0), to(kCount, 2.0);
  const double seconds = best_seconds_of([&] {
    parallel_for(kCount, 1 << 16, [&](int64_t begin, int64_t end) {
      std::copy(from.begin() + begin, from.begin() + end, to.begin() + begin);
    });
  });
  return 2e-9 * double(sizeof(double)) * kCount / seconds;
}

void print_machine(const Communicator& world) {
  const double memory = double(sysconf(_SC_PHYS_PAGES)) * double(sysconf(_SC_PAGE_SIZE));
  char host[256] = "";
  gethostname(host, sizeof host - 1);
  std::printf("birkhoff:  %s, %s\n", BIRKHOFF_VERSION, BIRKHOFF_COMPILER);
  std::printf("host:      %s\n", host);
  std::printf("processor: %s\n", proc_value("/proc/cpuinfo", "model name").c_str());
  std::printf("kernels:   %s\n", std::string(name_of(best_isa())).c_str());
  std::printf("cores:     %d usable, %d threads a rank\n", usable_cores(), num_threads());
  std::printf("memory:    %.1f GiB, of which %.1f GiB available\n", memory / kGiB,
              static_cast<double>(available_host_memory().value_or(0)) / kGiB);
  std::printf("ranks:     %d, of which %d on this host\n", world.size(), world.local_size());
  std::printf("built for: MPI %s, HDF5 %s, oneDNN %s\n", BIRKHOFF_MPI_VERSION, BIRKHOFF_HDF5_VERSION,
              BIRKHOFF_ONEDNN_VERSION);
  if constexpr (kWithCuda) {
    std::printf("CUDA:      %d usable devices\n", cuda::device_count());
  } else {
    std::printf("CUDA:      not in this build; configure with -DBIRKHOFF_CUDA=ON\n");
  }
}

void print_speed() {
  std::printf("matrices:  %.0f GFLOP/s in f32, %.0f in bf16 (1024 x 1024 x 1024)\n", gemm_gflops(DType::f32),
              gemm_gflops(DType::bf16));
  std::printf("copying:   %.1f GB/s, reads and writes counted\n", copy_gb_per_second());
}

struct Place {
  std::array<char, 64> host{};
  int32_t local_rank = 0, threads = 0;
};

// Collective. Returns the places of all ranks, in rank order, on every rank.
std::vector<Place> places_of(Communicator& world) {
  Place mine;
  gethostname(mine.host.data(), mine.host.size() - 1);
  mine.local_rank = world.local_rank();
  mine.threads = num_threads();
  return all_gather_on_host(world, mine);
}

void print_places(const std::vector<Place>& places) {
  std::printf("\n%6s  %-24s %10s %8s\n", "rank", "host", "local rank", "threads");
  for (size_t rank = 0; rank < places.size(); ++rank) {
    const Place& place = places[rank];
    std::printf("%6zu  %-24s %10d %8d\n", rank, place.host.data(), place.local_rank, place.threads);
  }
}

ExitCode doctor(Communicator& world) {
  agree(world, [] { start_team(num_threads()); });
  const std::vector<Place> places = places_of(world);
  if (world.rank() == 0) {
    print_machine(world);
    print_speed();
    if (world.size() > 1) print_places(places);
    std::fflush(stdout);
  }
  world.barrier();  // the other ranks wait here, so that they do not disturb the measurement
  return ExitCode::done;
}

}  // namespace

void add_doctor(Cli& cli) {
  cli.command("doctor", "Show machine, libraries, ranks and devices, and measure the speed of matrices and memory")
      .run_parallel(doctor);
}

}  // namespace birkhoff
