#pragma once
#include "parallel/shard/slice.h"
#include "trainer/checkpoint/manifest.h"
#include "trainer/checkpoint/open_files.h"

namespace birkhoff {

// Reads the elements of one slice of a tensor, in the slice's order, from whichever parts of the checkpoint hold them.
// `out` must have room for all of them. The manifest's layout must have been checked (layout.h).
void read_elements(OpenFiles& files, const Manifest::Entry& entry, const Slice& slice, void* out);

}  // namespace birkhoff
