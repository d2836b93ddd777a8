#pragma once
#include <string>
#include <string_view>

namespace birkhoff {

// A process puts its tag into the name of whatever it makes only to remove it again (a temporary file, shared memory).
// A later process can then tell whether a killed one has left it behind.

// "birkhoff-HOST-NAMESPACE-PID" of this process. NAMESPACE numbers its process ids: containers of one host may each
// have their own.
std::string process_tag();

// Whether the process has ended with whose tag this name ends. False for a process of another host or namespace, of
// which nothing is known, and for a name without a tag.
bool has_ended(std::string_view name);

// Whether there is such a process in this namespace. One that has ended and only waits for its parent is not alive.
bool is_alive(int pid);

std::string host_name();

}  // namespace birkhoff
