#include "kernels/core/defects.h"

namespace birkhoff {

std::string Defects::lines() const {
  std::string text;
  for (const std::string& defect : kept_) text += "\n  " + defect;
  if (count_ > kept_.size()) text += concat("\n  and ", count_ - kept_.size(), " more");
  return text;
}

void Defects::throw_if_any(const std::string& what) const {
  if (empty()) return;
  if (count_ > 1) throw DataError(concat(what, ": ", count_, " defects:", lines()));
  throw DataError(kept_[0].find(what) == kept_[0].npos ? concat(what, ": ", kept_[0]) : kept_[0]);
}

}  // namespace birkhoff
