#pragma once
#include <cstdint>

namespace birkhoff {

// Moments of a save at which tests make a process die or a disk fill up.
enum class SavePoint : uint8_t { data, own_written, manifest, rename, published };

// Called at each of these moments by the thread that saves. The definition in the program does nothing. Tests that link
// tests/trainer/checkpoint/injected_save_point.cc replace it.
void reach_save_point(SavePoint point, int rank);

}  // namespace birkhoff
