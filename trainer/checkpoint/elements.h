#pragma once
#include "parallel/shard/slice.h"
#include "trainer/checkpoint/manifest.h"
#include "trainer/checkpoint/open_files.h"

namespace birkhoff {

// The elements of a slice of a tensor, in its order, from whichever parts of a checkpoint hold them. `out` has room for
// all of them. The manifest's layout has been checked (layout.h).
void read_elements(OpenFiles& files, const Manifest::Entry& entry, const Slice& slice, void* out);

}  // namespace birkhoff
