#include "data/tokenizer/line_regex.h"

#include <algorithm>
#include <chrono>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMinPlaces = 16, kMaxPlaces = 4096, kStepsPerCall = size_t{1} << 26;
constexpr std::chrono::seconds kTimeLimit{10};
constexpr std::chrono::milliseconds kShortCall{50};

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

}  // namespace

// PCRE2 limits the steps for each start position of a match, so a long line could still take time quadratic in its
// length. Each call therefore tries only a limited number of start positions, and the clock is checked between calls.
bool LineRegex::found_in(std::string_view line) const {
  if (line.ends_with('\n')) line.remove_suffix(1);
  const auto begin = Clock::now();
  // An attempt at one position may scan the whole rest of the line, so longer lines get fewer positions per call. If a
  // call turns out to be short, the next one gets more positions.
  size_t places = std::clamp(kStepsPerCall / (line.size() + 1), kMinPlaces, kMaxPlaces);
  for (size_t from = 0; from <= line.size();) {
    size_t next = std::min(from + places, line.size() + 1);
    // The next call must not start in the middle of a character.
    while (next < line.size() && continues_character(line[next])) ++next;
    const auto call = Clock::now();
    if (pattern_.find(line, from, next - 1)) return true;
    const auto now = Clock::now();
    if (now - call < kShortCall) places *= 2;
    from = next;
    BK_CHECK(from > line.size() || now - begin < kTimeLimit, "the regex ", pattern_.spelling(), " takes more than ",
             kTimeLimit.count(), " s on a line of ", line.size(), " bytes; write one that tries fewer ways to match");
  }
  return false;
}

}  // namespace birkhoff
