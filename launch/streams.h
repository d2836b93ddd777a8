#pragma once

namespace birkhoff {

// Takes the places of standard streams that are closed, so that no file of ours becomes one and is written into by what
// is printed; what is read from or written to such a stream fails.
void reserve_standard_streams();

// To be called once a command has said what it has to say.
// Errors: UserError if some of it could not be written to standard output, or standard input not be read.
void check_standard_streams();

}  // namespace birkhoff
