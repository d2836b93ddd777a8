#include "tests/trainer/checkpoint/injected_save_point.h"

#include <atomic>

namespace birkhoff {
namespace {

std::atomic<SavePointFn> save_point{nullptr};

}  // namespace

void inject_save_point(SavePointFn fn) { save_point = fn; }

void reach_save_point(SavePoint point, int rank) {
  if (const SavePointFn fn = save_point) fn(point, rank);
}

}  // namespace birkhoff
