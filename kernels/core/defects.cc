#include "kernels/core/defects.h"

namespace birkhoff {
namespace {

constexpr size_t kShown = 20;

}  // namespace

std::string Defects::lines() const {
  std::string text;
  for (size_t i = 0; i < all_.size() && i < kShown; ++i) text += "\n  " + all_[i];
  if (all_.size() > kShown) text += concat("\n  and ", all_.size() - kShown, " more");
  return text;
}

void Defects::throw_if_any(const std::string& what) const {
  if (all_.empty()) return;
  if (all_.size() == 1) throw DataError(all_[0].find(what) == all_[0].npos ? concat(what, ": ", all_[0]) : all_[0]);
  throw DataError(concat(what, ": ", all_.size(), " defects:", lines()));
}

}  // namespace birkhoff
