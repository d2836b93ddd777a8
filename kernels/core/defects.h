#pragma once
#include <string>
#include <utility>
#include <vector>

#include "kernels/core/error.h"

namespace birkhoff {

// Collects what is wrong, so that a check tells all of it and not only what it met first. It keeps the first twenty
// defects and counts the others, since a hostile file may have one in each of its rows.
class Defects {
 public:
  void add(std::string defect);

  // Adds those of one kind, of one file or check, which so has twenty of its own. Of the first twenty that had any.
  void append(const Defects& kind);

  // Runs a check; what it throws as a DataError is added.
  template <class Check>
  void check(Check&& body) {
    try {
      body();
    } catch (const DataError& error) {
      add(error.what());
    }
  }

  // The value that `read` returns, or `otherwise` where it throws a DataError, which is added. A reader of several
  // values that do not depend on each other so tells what is wrong with each.
  template <class Read, class Value = decltype(std::declval<Read>()())>
  Value value(Read&& read, Value otherwise = {}) {
    check([&] { otherwise = read(); });
    return otherwise;
  }

  size_t count() const { return count_; }
  bool empty() const { return count_ == 0; }

  // A line, which begins with a line feed, for each that is kept, and one that counts the others.
  std::string lines() const;

  // DataError with the one defect, behind WHAT where it does not name that itself, or "WHAT: N defects:" and lines().
  void throw_if_any(const std::string& what) const;

 private:
  static constexpr size_t kKept = 20;
  size_t count_ = 0, told_ = 0;  // told_: in a line, or counted by one
  size_t added_ = 0, kinds_ = 0;
  std::vector<std::string> kept_;  // lines
};

}  // namespace birkhoff
