#pragma once
#include <string>

#include "parallel/comm/communicator.h"
#include "trainer/config/reader.h"

namespace birkhoff {

// Checks that all ranks run the same program with the same configuration and options of the command. Collective. Only
// agree() may come before it, because another collective could hang or mix up data if the ranks differ. `program` is
// the version and digest of the binary.
// Errors: CommError with a table of the ranks, and the settings and options that differ.
void check_same_inputs(Communicator& world, const Config& config, const std::string& program,
                       const std::string& options = "");

// The same of a run, which has no options; then checks that the configuration allows this number of ranks. Collective.
// Errors: as above; UserError if the number of ranks does not fit the configuration.
void check_same_run(Communicator& world, const Config& config, const std::string& program);

}  // namespace birkhoff
