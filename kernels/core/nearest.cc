#include "kernels/core/nearest.h"

#include <algorithm>
#include <cctype>
#include <numeric>

namespace birkhoff {
namespace {

// Levenshtein distance.
size_t edits(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

bool equal_but_case(std::string_view a, std::string_view b) {
  const auto equal = [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); };
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), equal);
}

}  // namespace

std::string nearest(std::string_view given, const std::vector<std::string_view>& names) {
  constexpr size_t kLongest = 200;  // no name is this long, and the cost of edits() is the product of the lengths
  if (given.size() > kLongest) return "";
  std::string_view best;
  size_t fewest = std::max<size_t>(2, given.size() / 3) + 1;
  for (const std::string_view name : names) {
    if (equal_but_case(given, name)) return std::string(name);
    const size_t distance = edits(given, name);
    // A distance of name.size() means that no letter of the name is kept.
    if (distance >= fewest || distance >= name.size()) continue;
    fewest = distance;
    best = name;
  }
  return std::string(best);
}

}  // namespace birkhoff
