#include "launch/cli/text_options.h"

#include <cstdio>

#include "kernels/core/error.h"
#include "kernels/core/printable.h"

namespace birkhoff {

TextFormat format_of(const std::string& word) {
  if (word == "text") return TextFormat::text;
  return word == "jsonl" ? TextFormat::json_lines : TextFormat::automatic;
}

int64_t bytes_of_mib(int64_t mib) {
  BK_CHECK(mib >= 0 && mib <= int64_t{1} << 30, "--max-file-mib is ", mib, ", expected 0 to ", int64_t{1} << 30);
  return mib << 20;
}

void print_note(const std::string& note) { std::fprintf(stderr, "%s\n", printable(note).c_str()); }

}  // namespace birkhoff
