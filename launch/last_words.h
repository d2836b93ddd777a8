#pragma once
#include <string>

#include "parallel/comm/watchdog.h"

namespace birkhoff {

// Writes a last message to standard error before the process ends itself. If nobody reads from the other end (a paused
// pager, a hanging launcher), it waits up to a second for room and then drops the rest, so that the process ends soon
// after its deadline.
void print_last_words(const std::string& text);

// How a rank ends after a deadline has passed: prints its last message, then exits at once.
ProcessEnd process_end();

}  // namespace birkhoff
