#pragma once
#include <string>

#include "parallel/comm/communicator.h"
#include "trainer/config/reader.h"

namespace birkhoff {

// All ranks run the same program with the same configuration, and as many as it asks for. Collective, and the first of
// a run. `program` is the version and digest of the binary.
// Errors: CommError with the table of ranks and the settings that differ; UserError if the number of ranks does not
// fit the configuration.
void check_same_run(Communicator& world, const Config& config, const std::string& program);

}  // namespace birkhoff
