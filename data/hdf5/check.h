#pragma once
// Internal to this folder.
#include <cstdint>
#include <string>

namespace birkhoff {

// Returns the result of an HDF5 call, or throws DataError "WHAT: HDF5: ERROR STACK" if it is negative. Call it with
// hdf5_mutex() locked.
int64_t check_h5(int64_t result, const std::string& what);
// Turns off HDF5's own printing of errors. Call it before other HDF5 functions.
void silence_h5();

}  // namespace birkhoff
