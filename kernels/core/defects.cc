#include "kernels/core/defects.h"

namespace birkhoff {

void Defects::add(std::string defect) {
  ++count_;
  if (added_++ >= kKept) return;
  kept_.push_back(std::move(defect));
  ++reported_;
}

void Defects::append(const Defects& kind) {
  count_ += kind.count_;
  if (kind.empty() || kinds_++ >= kKept) return;
  kept_.insert(kept_.end(), kind.kept_.begin(), kind.kept_.end());
  if (kind.count_ > kind.reported_) kept_.push_back(concat("and ", kind.count_ - kind.reported_, " more of these"));
  reported_ += kind.count_;
}

std::string Defects::lines() const {
  std::string text;
  for (const std::string& line : kept_) text += "\n  " + line;
  if (count_ > reported_) text += concat("\n  and ", count_ - reported_, " more");
  return text;
}

void Defects::throw_if_any(const std::string& what) const {
  if (empty()) return;
  if (count_ > 1) throw DataError(concat(what, ": ", count_, " defects:", lines()));
  throw DataError(kept_[0].find(what) == kept_[0].npos ? concat(what, ": ", kept_[0]) : kept_[0]);
}

}  // namespace birkhoff
