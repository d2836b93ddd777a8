#pragma once
#include <string>
#include <utility>
#include <vector>

#include "kernels/core/error.h"

namespace birkhoff {

// Collects defects, so that a check reports all of them instead of stopping at the first. Keeps the text of the first
// twenty and counts the others, because a hostile file may have one in each of its rows.
class Defects {
 public:
  void add(std::string defect);

  // Adds the defects of one kind (of one file, or of one check), which were collected on their own so that each kind
  // keeps up to twenty. Only the first twenty kinds that have defects keep their lines; later ones are only counted.
  void append(const Defects& kind);

  // Runs `body` and adds the message of a DataError that it throws.
  template <class Check>
  void check(Check&& body) {
    try {
      body();
    } catch (const DataError& error) {
      add(error.what());
    }
  }

  // Returns the value of `read`. If `read` throws a DataError, adds it and returns `otherwise`. With this, a reader of
  // several independent values reports what is wrong with each.
  template <class Read, class Value = decltype(std::declval<Read>()())>
  Value value(Read&& read, Value otherwise = {}) {
    check([&] { otherwise = read(); });
    return otherwise;
  }

  size_t count() const { return count_; }
  bool empty() const { return count_ == 0; }

  // One line for each kept defect, and one that counts the others. Each line begins with a line feed.
  std::string lines() const;

  // Throws a DataError if there are defects. A single defect becomes "WHAT: defect", or just the defect if it mentions
  // WHAT itself; several become "WHAT: N defects:" followed by lines().
  void throw_if_any(const std::string& what) const;

 private:
  static constexpr size_t kKept = 20;
  size_t count_ = 0, reported_ = 0;  // reported_: shown in a line, or counted in an "and N more" line
  size_t added_ = 0, kinds_ = 0;
  std::vector<std::string> kept_;  // lines
};

}  // namespace birkhoff
