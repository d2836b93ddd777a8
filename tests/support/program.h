#pragma once
#include <string>

namespace birkhoff::test {

struct ProgramResult {
  int exit_code = 0;
  std::string output;  // standard output and error
};

// Runs a shell command and waits for its end; it is killed after 240 s.
ProgramResult run_program(const std::string& command);

// A command that runs in the background and writes its output to a file.
class Background {
 public:
  Background(const std::string& command, const std::string& output_path);
  ~Background();  // kills the process group if the command is still running
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  void signal(int number);
  // Waits for the command to end and returns its exit code, or -1 if it is still running after `seconds`.
  int wait(double seconds);
  // Whether `text` appears in the output within `seconds`.
  bool shows(const std::string& text, double seconds) const;
  std::string output() const;
  int pid() const { return pid_; }

 private:
  int pid_;
  bool ended_ = false;
  int exit_code_ = -1;
  std::string path_;
};

// "mpirun -n RANKS ... " with the options that tests need, or an empty string for one rank.
std::string mpirun(int ranks);
// Starts two ranks under mpirun, each with a command of its own.
ProgramResult run_pair(const std::string& first, const std::string& second);

}  // namespace birkhoff::test
