#pragma once
// The command line, independent of the library that parses it: only cli.cc includes CLI11.
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "launch/mpi_start.h"
#include "parallel/comm/communicator.h"

namespace CLI {
class App;
}

namespace birkhoff {

// What a command does. A ParallelAction runs under MPI and receives the world communicator. A SerialAction runs without
// MPI.
using SerialAction = std::function<ExitCode()>;
// Runs before MPI starts, and returns the deadline for that start.
using BeforeMpi = std::function<StartDeadline()>;
// Whether a command's standard output is its result or only a log. A run continues if its log cannot be written.
enum class Prints : uint8_t { result, log };
struct ParallelAction {
  std::function<ExitCode(Communicator& world)> run;
  BeforeMpi before;  // may be empty
  Prints prints = Prints::result;
};
using AnyAction = std::variant<std::monostate, SerialAction, ParallelAction>;

// One command or subcommand. The variables that receive arguments must outlive the action; their initial values are the
// defaults.
class Command {
 public:
  Command(CLI::App* app, std::vector<std::pair<CLI::App*, AnyAction>>* actions) : app_(app), actions_(actions) {}

  // A required positional argument. With a list, one or more arguments.
  Command& positional(const std::string& name, std::string& value, const std::string& help);
  Command& positional(const std::string& name, std::vector<std::string>& values, const std::string& help);
  // An option "--name". With a list, the option may be repeated.
  Command& option(const std::string& name, std::string& value, const std::string& help);
  Command& option(const std::string& name, int64_t& value, const std::string& help);
  Command& option(const std::string& name, double& value, const std::string& help);
  Command& option(const std::string& name, std::vector<std::string>& values, const std::string& help);
  // An option whose value must be one of `words`.
  Command& choice(const std::string& name, std::string& value, const std::vector<std::string>& words,
                  const std::string& help);
  Command& flag(const std::string& name, bool& value, const std::string& help);
  // Makes the option or argument that was added last mandatory.
  Command& required();

  Command subcommand(const std::string& name, const std::string& help);
  void run(SerialAction action);
  void run_parallel(std::function<ExitCode(Communicator& world)> action, BeforeMpi before = {},
                    Prints prints = Prints::result);

 private:
  CLI::App* app_;
  std::vector<std::pair<CLI::App*, AnyAction>>* actions_;
};

class Cli {
 public:
  explicit Cli(const std::string& version);
  ~Cli();
  Command command(const std::string& name, const std::string& help);
  // Returns the action of the command that the arguments (without the program's name) select; for --help and --version
  // an action that prints the text. Errors: UserError that says what is wrong and names the nearest command.
  AnyAction parse(std::vector<std::string> arguments);

 private:
  std::unique_ptr<CLI::App> app_;
  std::vector<std::pair<CLI::App*, AnyAction>> actions_;
};

}  // namespace birkhoff
