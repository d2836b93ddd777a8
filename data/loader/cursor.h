#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace birkhoff {

// The position in the stream of one source.
struct SourceCursor {
  uint32_t key = 0;  // cursor_key() of the name of the source
  int64_t epoch = 0;
  int64_t ordinal = 0;    // position of the current document in the permutation of the epoch
  int64_t offset = 0;     // next input of that document
  int64_t sequences = 0;  // sequences drawn from this source since the mixture began

  bool operator==(const SourceCursor&) const = default;
};

// The complete data state of a run. It is global: it does not depend on the number of replicas. As text it takes at
// most 1 KiB for up to 16 sources.
struct Cursor {
  uint64_t order_digest = 0;          // of the seed and of the names, weights and sizes of the sources
  uint64_t content_digest = 0;        // of the documents and begin tokens of all sources; 0 in old cursors
  int64_t sequences = 0, tokens = 0;  // consumed by the run
  int64_t mixture_start = 0;          // sequences consumed when this mixture began
  std::vector<SourceCursor> sources;

  bool operator==(const Cursor&) const = default;
};

std::string to_string(const Cursor& cursor);
// Throws a DataError if the text is not a cursor, or if a number is out of range. Older programs, which do not know the
// content digest, can read what to_string() writes. They ignore that digest and check only the order digest.
Cursor parse_cursor(const std::string& text);

}  // namespace birkhoff
