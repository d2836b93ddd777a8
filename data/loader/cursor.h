#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace birkhoff {

// Where the stream of one source stands.
struct SourceCursor {
  uint32_t key = 0;  // of the source's name
  int64_t epoch = 0;
  int64_t ordinal = 0;    // in the epoch's permutation: the document being read
  int64_t offset = 0;     // its next input position
  int64_t sequences = 0;  // taken from this source since the mixture began

  bool operator==(const SourceCursor&) const = default;
};

// All state of the data side of a run: global, so the number of replicas does not enter. At most 1 KiB as text for up
// to 16 sources.
struct Cursor {
  uint64_t order_digest = 0;          // of seed, names, weights and sizes of the sources
  uint64_t content_digest = 0;        // of the documents of all sources in order; 0 in cursors of older programs
  int64_t sequences = 0, tokens = 0;  // consumed by the run
  int64_t mixture_start = 0;          // sequences consumed when this mixture began
  std::vector<SourceCursor> sources;

  bool operator==(const Cursor&) const = default;
};

std::string to_string(const Cursor& cursor);
// DataError if the text is not a cursor, or a number is out of range. Programs before the content digest read what
// to_string() writes, and judge it by the order digest alone.
Cursor parse_cursor(const std::string& text);

}  // namespace birkhoff
