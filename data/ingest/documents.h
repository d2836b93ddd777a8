#pragma once
// The text of files and folders as documents: what `birkhoff data ingest` and `birkhoff tokenizer train` both read.
#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "data/ingest/content.h"
#include "data/ingest/inputs.h"
#include "data/ingest/json_lines.h"
#include "data/tokenizer/commands.h"
#include "data/tokenizer/line_regex.h"

namespace birkhoff {

// How a text file becomes documents. JSON lines are one document each and are not split.
struct SplitRule {
  enum class Kind { whole, blank_lines, regex, size };
  Kind kind = Kind::whole;
  std::string regex;      // see LineRegex: a line in which it is found begins a document
  int64_t bytes = 0;      // size: cut after the first line that reaches so many bytes
  int64_t min_bytes = 0;  // blank_lines, regex: neighbors are joined until a document has so many bytes
};

class DocumentSplitter {
 public:
  explicit DocumentSplitter(SplitRule rule);  // UserError for a bad one

  // The documents of one text. Concatenated they are the text, byte for byte; none is empty. UserError where the
  // regular expression takes too long on a line, whose number it tells.
  std::vector<std::string_view> split(std::string_view text) const;

 private:
  struct Lines {
    bool last_blank = false;
    int64_t number = 0;
  };
  bool cut_before(std::string_view line, int64_t document_bytes, Lines& lines) const;

  SplitRule rule_;
  std::optional<LineRegex> regex_;
};

struct CorpusOptions {
  std::vector<std::string> inputs;  // files and folders, plain or packed by gzip or zstd
  TextFormat format = TextFormat::automatic;
  SplitRule split;
  std::string json_field = "text";  // see text_of_json_line()
  int64_t max_file_bytes = 0;       // see UnpackLimits
  std::filesystem::path output;     // passed over where it lies in an input folder; may be empty
  Log log;
};

struct CorpusReport {
  int64_t text_files = 0, json_files = 0, documents = 0, bytes = 0;
  int64_t broken_files = 0;            // among the text files: they hold bytes that are not UTF-8
  std::filesystem::path broken_first;  // one of them
};

class Corpus {
 public:
  // Finds the files and looks at their first bytes.
  // Errors: DataError lists the files that hold no text (see content.h); UserError and IoError are those of
  //         find_inputs().
  explicit Corpus(CorpusOptions options);

  // Calls use(document) for every document, in the order of the files. A UTF-8 byte order mark at the start of a file
  // is no part of its text.
  // Errors: DataError names a file that holds no text after all, and path and line of a bad JSON line unless `bad`
  // takes
  //         it; IoError what cannot be read.
  CorpusReport read(BadLines& bad, const DocumentUse& use) const;

 private:
  CorpusOptions options_;
  DocumentSplitter splitter_;
  std::vector<std::filesystem::path> files_;
};

}  // namespace birkhoff
