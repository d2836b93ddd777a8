#pragma once
#include <string>

#include "parallel/comm/watchdog.h"

namespace birkhoff {

// Writes to standard error what a process says before it ends by itself. Where nobody reads on, as behind a paused
// pager or a launcher that hangs, it waits a second for room and leaves out the rest: a deadline that has passed holds.
void print_last_words(const std::string& text);

// How a rank of the program ends when a deadline has passed: with its last words, then at once.
ProcessEnd process_end();

}  // namespace birkhoff
