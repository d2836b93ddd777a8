#pragma once
// Shared by the .cc files of this folder alone.
#include <cstdint>
#include <string>

namespace birkhoff {

// Returns the result of an HDF5 call, or throws DataError "what: HDF5's error stack" if it is negative. Before the
// first use of the library it turns HDF5's printing off. Call it under hdf5_mutex().
int64_t check_h5(int64_t result, const std::string& what);
void silence_h5();

}  // namespace birkhoff
