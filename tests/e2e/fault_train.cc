// The program itself, on a communicator that raises a signal in one rank at a chosen operation.
//   fault_train SIGNAL RANK PLACE COUNT train CONFIG ...
// BIRKHOFF_FAULT_NAME, if set, becomes the name of the process.
// PLACE is the function, file or group of the operation, and COUNT the number of the operation among those. "forward"
// is a call of progress() between the ops of a step, of which there are many; "end" is after the run, before the end of
// MPI.
#include <atomic>
#include <csignal>
#include <cstdlib>
#include <filesystem>

#include <sys/prctl.h>

#include "launch/cli/commands.h"
#include "launch/guard.h"
#include "launch/mpi_start.h"
#include "parallel/comm/forwarding.h"
#include "parallel/comm/mpi/mpi_world.h"

namespace birkhoff {
namespace {

struct Fault {
  int signal = 0, rank = 0;
  std::string place;
  std::atomic<int> left;
  bool here = false;  // whether this process is the rank of the world

  void at(const std::string& reached) {
    if (here && reached == place && --left == 0) std::raise(signal);
  }
};

class FaultyCommunicator final : public ForwardingCommunicator {
 public:
  FaultyCommunicator(Inner inner, Fault& fault) : ForwardingCommunicator(std::move(inner)), fault_(fault) {}

  void progress() override {
    fault_.at("forward");
    inner().progress();
  }
  std::unique_ptr<Communicator> split(int color, int key, const std::string& name) override {
    return std::make_unique<FaultyCommunicator>(inner().split(color, key, name), fault_);
  }
  Pending start(Operation operation) override {
    fault_.at(operation.where.function_name());
    fault_.at(std::filesystem::path(operation.where.file_name()).filename().string());
    fault_.at(inner().name());
    return inner().start(std::move(operation));
  }

 private:
  Fault& fault_;
};

ExitCode run(const std::vector<std::string>& arguments) {
  Fault fault{std::stoi(arguments.at(0)), std::stoi(arguments.at(1)), arguments.at(2), std::stoi(arguments.at(3))};
  Cli cli(BIRKHOFF_VERSION);
  add_train(cli);
  const auto action = std::get<ParallelAction>(cli.parse({arguments.begin() + 4, arguments.end()}));
  const StartDeadline deadline = action.before();
  auto mpi = std::make_unique<MpiWorld>();
  fault.here = mpi->world().rank() == fault.rank;
  const ExitCode code = [&] {
    FaultyCommunicator world(mpi->world(), fault);
    return guarded(world, [&] { return action.run(world); });
  }();
  fault.at("end");
  end_mpi(std::move(mpi), deadline, code);
  return code;
}

}  // namespace
}  // namespace birkhoff

int main(int argc, char** argv) {
  if (const char* name = std::getenv("BIRKHOFF_FAULT_NAME")) prctl(PR_SET_NAME, name);
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  return static_cast<int>(birkhoff::guarded([&] { return birkhoff::run(arguments); }));
}
