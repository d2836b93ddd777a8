#pragma once

namespace birkhoff {

// Opens placeholders for standard streams that are closed. Otherwise the next file that the program opens would get the
// number of such a stream, and what is printed would be written into it. Reading from or writing to a placeholder
// fails.
void reserve_standard_streams();

// To be called after a command has printed everything.
// Errors: UserError if part of it could not be written to standard output, or if standard input could not be read.
void check_standard_streams();

}  // namespace birkhoff
