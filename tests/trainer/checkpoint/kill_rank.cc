// Saves checkpoints until it kills itself in the middle of a save. Driven by kill_test.cc.
//   kill_rank DIRECTORY RANKS next|same POINT RANK COUNT
// The ranks are RANKS threads of this process, or with 0 the ranks of mpirun. The program resumes from the newest
// checkpoint and then saves the next step each time, or with `same` one step again and again with new contents. It
// kills itself when rank RANK reaches the save point POINT for the COUNTth time; with the POINT `time`, after COUNT
// microseconds.
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <thread>

#include <unistd.h>

#include "kernels/core/error.h"
#include "parallel/comm/mpi/mpi_world.h"
#include "parallel/comm/threads/run_ranks.h"
#include "tests/trainer/checkpoint/injected_save_point.h"
#include "tests/trainer/checkpoint/ranked_state.h"
#include "trainer/checkpoint/reader.h"
#include "trainer/checkpoint/save.h"
#include "trainer/checkpoint/writer.h"

namespace birkhoff {
namespace {

struct Fault {
  std::string point;
  int rank = 0;
  std::atomic<int> count = 0;
} fault;

void die_at(SavePoint point, int rank) {
  constexpr const char* kNames[] = {"data", "own_written", "manifest", "rename", "published"};
  if (rank == fault.rank && fault.point == kNames[static_cast<int>(point)] && --fault.count == 0) std::raise(SIGKILL);
}

void die_in_time(int rank) {
  if (fault.point != "time" || rank != fault.rank) return;
  std::thread([] {
    std::this_thread::sleep_for(std::chrono::microseconds(fault.count));
    std::raise(SIGKILL);
  }).detach();
}

// Writes each line with one write(), so everything that the parent reads had happened before the kill.
void print_progress(Communicator& comm, const std::string& text) {
  if (comm.rank() == 0 && ::write(STDOUT_FILENO, text.data(), text.size()) < 0) std::abort();
}

void save_for_ever(Communicator& comm, const std::string& directory, bool same) {
  RankedState state(comm.rank(), comm.size(), 0);
  int64_t seed = 0;
  if (const auto found = find_newest_valid(comm, directory)) {
    load_checkpoint(comm, found->path, found->manifest, Device{}, state.visitor());
    seed = state.seed_loaded();
    if (!state.differences(seed).empty()) throw BugError("the state is a mixture");
  }
  CheckpointWriter writer(comm, Device{}, {directory, 2, true});
  print_progress(comm, concat("from ", seed, '\n'));
  die_in_time(comm.rank());
  while (true) {
    state.fill(++seed);
    writer.begin(same ? 1 : seed, state.visitor(), {{"config.yaml", concat(seed)}});
    writer.wait_copied();
    const auto report = writer.finish();
    if (!report->saved) throw BugError(report->error);
    print_progress(comm, concat("saved ", seed, '\n'));
  }
}

}  // namespace
}  // namespace birkhoff

int main(int, char** argv) {
  using namespace birkhoff;
  const int ranks = std::atoi(argv[2]);
  const bool same = std::string(argv[3]) == "same";
  fault.point = argv[4];
  fault.rank = std::atoi(argv[5]);
  fault.count = std::atoi(argv[6]);
  inject_save_point(die_at);
  try {
    if (ranks > 0) {
      run_ranks(ranks, [&](Communicator& comm) { save_for_ever(comm, argv[1], same); });
    } else {
      MpiWorld mpi;
      save_for_ever(mpi.world(), argv[1], same);
    }
  } catch (const std::exception& e) {
    std::fprintf(stderr, "error: %s\n", e.what());
    return 3;
  }
}
