#pragma once
#include <cstdint>

namespace birkhoff {

// Moments of a save at which tests make a process die or a disk fill up.
enum class SavePoint : uint8_t { data, own_written, manifest, rename, published };

// Called at each of these moments by the thread that saves. Does nothing in the program. A test that links
// tests/trainer/checkpoint/injected_save_point.cc replaces this definition and can act there.
void reach_save_point(SavePoint point, int rank);

}  // namespace birkhoff
