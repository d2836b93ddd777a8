#include "tests/support/program.h"

#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <thread>

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/temp_dir.h"

namespace birkhoff::test {
namespace {

int code_of(int status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }

template <class Done>
bool poll(double seconds, Done done) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::duration<double>(seconds);
  while (!done()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

}  // namespace

ProgramResult run_program(const std::string& command) {
  std::FILE* pipe = popen(("timeout -k 5 240 " + command + " 2>&1").c_str(), "r");
  ProgramResult result;
  std::array<char, 4096> part{};
  for (size_t bytes; (bytes = std::fread(part.data(), 1, part.size(), pipe)) > 0;)
    result.output.append(part.data(), bytes);
  result.exit_code = code_of(pclose(pipe));
  return result;
}

Background::Background(const std::string& command, const std::string& output_path) : path_(output_path) {
  pid_ = fork();
  if (pid_ != 0) return;
  setpgid(0, 0);
  const int out = open(output_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  dup2(out, 1);
  dup2(out, 2);
  execl("/bin/sh", "sh", "-c", ("exec " + command).c_str(), static_cast<char*>(nullptr));
  _exit(127);
}

Background::~Background() {
  if (!ended_) {
    kill(-pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
}

void Background::signal(int number) { kill(pid_, number); }

int Background::wait(double seconds) {
  poll(seconds, [&] {
    int status = 0;
    if (!ended_ && waitpid(pid_, &status, WNOHANG) == pid_) {
      ended_ = true;
      exit_code_ = code_of(status);
    }
    return ended_;
  });
  return exit_code_;
}

bool Background::shows(const std::string& text, double seconds) const {
  return poll(seconds, [&] { return output().find(text) != std::string::npos; });
}

std::string Background::output() const {
  std::ifstream in(path_, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string mpirun(int ranks) {
  if (ranks <= 1) return "";
  return "mpirun -n " + std::to_string(ranks) + " --oversubscribe --bind-to none --mca pml ob1 --mca btl self,vader ";
}

ProgramResult run_pair(const std::string& first, const std::string& second) {
  const TempDir dir;
  // A script, because mpirun 5.0.7 crashes if it is given two programs.
  std::ofstream(dir / "rank.sh") << "if [ $OMPI_COMM_WORLD_RANK = 0 ]; then\n  exec " << first << "\nelse\n  exec "
                                 << second << "\nfi\n";
  return run_program(mpirun(2) + "sh " + (dir / "rank.sh").string());
}

}  // namespace birkhoff::test
