#pragma once
#include <functional>
#include <string>
#include <vector>

#include "kernels/core/error.h"

namespace birkhoff {

// Collects what is wrong, so that a check tells all of it and not only what it met first.
class Defects {
 public:
  void add(std::string defect) { all_.push_back(std::move(defect)); }
  // Runs a check; what it throws as a DataError is added.
  void check(const std::function<void()>& body) {
    try {
      body();
    } catch (const DataError& error) {
      add(error.what());
    }
  }
  bool empty() const { return all_.empty(); }
  // DataError with the one defect, behind WHAT where it does not name that itself, or "WHAT: N defects:" and a line for
  // each of the first twenty.
  void throw_if_any(const std::string& what) const {
    if (all_.empty()) return;
    if (all_.size() == 1) throw DataError(all_[0].find(what) == all_[0].npos ? concat(what, ": ", all_[0]) : all_[0]);
    std::string text = concat(what, ": ", all_.size(), " defects:");
    for (size_t i = 0; i < all_.size() && i < kShown; ++i) text += "\n  " + all_[i];
    if (all_.size() > kShown) text += concat("\n  and ", all_.size() - kShown, " more");
    throw DataError(text);
  }

 private:
  static constexpr size_t kShown = 20;
  std::vector<std::string> all_;
};

}  // namespace birkhoff
