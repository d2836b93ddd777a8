#pragma once
#include <string>
#include <string_view>

namespace birkhoff {

// A process puts its tag into the name of every temporary object that it creates (a file, shared memory). A later
// process can then tell whether a killed process left the object behind.

// "birkhoff-HOST-NAMESPACE-PID" of this process. NAMESPACE identifies its namespace of process ids, because containers
// on one host may each have their own.
std::string process_tag();

// Whether `name` ends with the tag of a process that has ended. False for a process of another host or namespace, whose
// state is unknown, and for a name without a tag.
bool has_ended(std::string_view name);

// Whether a process with this id is running in this namespace. A zombie, which has ended and waits for its parent, is
// not alive.
bool is_alive(int pid);

std::string host_name();

}  // namespace birkhoff
