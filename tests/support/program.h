#pragma once
#include <string>

namespace birkhoff::test {

struct ProgramResult {
  int exit_code = 0;
  std::string output;  // standard output and error
};

// Runs a shell command to its end.
ProgramResult run_program(const std::string& command);

// A command that runs until it is waited for; its output goes to a file.
class Background {
 public:
  Background(const std::string& command, const std::string& output_path);
  ~Background();  // kills what still runs, with its group
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;

  void signal(int number);
  // -1 if it has not ended after so many seconds.
  int wait(double seconds);
  // Whether the output shows `text` within so many seconds.
  bool shows(const std::string& text, double seconds) const;
  std::string output() const;
  int pid() const { return pid_; }

 private:
  int pid_;
  bool ended_ = false;
  int exit_code_ = -1;
  std::string path_;
};

// "mpirun -n RANKS ... " with what tests need; empty for one rank.
std::string mpirun(int ranks);

}  // namespace birkhoff::test
