// A rank that runs steps forever under a watchdog, unless it is told to fail. Driven by fault_test.cc.
//   fault_rank FOLDER stop|kill|exit|wait|throw|none RANK: what RANK does in step 3
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "kernels/core/error.h"
#include "parallel/comm/mpi/mpi_world.h"
#include "parallel/comm/watchdog.h"
#include "tests/support/host_stream.h"

namespace birkhoff {
namespace {

constexpr double kDeadline_s = 1.0;
constexpr int kSteps = 6;
const ProcessEnd kEnd{.print = [](const std::string& text) { std::fputs(text.c_str(), stderr); }, .leave = std::_Exit};

void misbehave(const std::string& what) {
  if (what == "stop") std::raise(SIGSTOP);
  if (what == "kill") std::raise(SIGKILL);
  if (what == "exit") std::_Exit(0);
  if (what == "throw") throw DataError("shard 7 is corrupt");
  while (what == "wait") std::this_thread::sleep_for(std::chrono::seconds(1));
}

void run(Communicator& world, const std::string& folder, const std::string& fault, int faulty_rank) {
  Trace trace;
  const auto traced = make_traced(world, trace);
  const auto replicas = traced->split(0, world.rank(), "dp");
  Watchdog watchdog([&](const std::string& why) { dump_and_abort({world, trace, folder, {}}, why, kEnd); });
  std::vector<float> gradient(10'000);
  for (int step = 0; step < kSteps; ++step) {
    const auto scope = watchdog.guard(concat("step ", step), kDeadline_s);
    if (step == 3 && world.rank() == faulty_rank) misbehave(fault);
    wait_on_host(replicas->all_reduce(host_stream(), {gradient.data(), DType::f32, {10'000}}));
  }
}

}  // namespace
}  // namespace birkhoff

int main(int, char** argv) {
  birkhoff::MpiWorld mpi;
  try {
    birkhoff::run(mpi.world(), argv[1], argv[2], std::atoi(argv[3]));
  } catch (const std::exception& e) {
    std::fprintf(stderr, "error: rank %d: %s\n", mpi.world().rank(), e.what());
    mpi.world().abort(e.what(), 6);
    return 6;
  }
  return 0;
}
