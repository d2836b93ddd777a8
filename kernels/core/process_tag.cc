#include "kernels/core/process_tag.h"

#include <cerrno>
#include <charconv>
#include <csignal>
#include <fstream>
#include <iterator>

#include <sys/stat.h>
#include <unistd.h>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

// The tag without the process id.
std::string tag_of_host() {
  struct stat space {};
  const bool known = ::stat("/proc/self/ns/pid", &space) == 0;
  return concat("birkhoff-", host_name(), '-', known ? space.st_ino : 0, '-');
}

// The third field of /proc/PID/stat; the second is a name in parentheses, which may hold anything.
char state_of(int pid) {
  std::ifstream in(concat("/proc/", pid, "/stat"));
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  const size_t name_end = text.rfind(')');
  return name_end == text.npos || name_end + 2 >= text.size() ? '?' : text[name_end + 2];
}

}  // namespace

std::string host_name() {
  char name[256] = {};
  ::gethostname(name, sizeof(name) - 1);
  return name;
}

std::string process_tag() { return concat(tag_of_host(), ::getpid()); }

bool is_alive(int pid) {
  if (pid <= 0 || (::kill(pid, 0) != 0 && errno == ESRCH)) return false;
  const char state = state_of(pid);
  return state != 'Z' && state != 'X';
}

bool has_ended(std::string_view name) {
  const std::string here = tag_of_host();
  const size_t tag = name.rfind(here);
  if (tag == name.npos) return false;
  const std::string_view digits = name.substr(tag + here.size());
  int pid = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), pid);
  return error == std::errc() && end == digits.data() + digits.size() && pid > 0 && !is_alive(pid);
}

}  // namespace birkhoff
