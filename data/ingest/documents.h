#pragma once
// Reads files and folders as a sequence of documents. Shared by `birkhoff data ingest` and `birkhoff tokenizer train`.
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

// How a text file is split into documents. Each JSON line is one document and is not split further.
struct SplitRule {
  enum class Kind { whole, blank_lines, regex, size };
  Kind kind = Kind::whole;
  std::string regex;      // a line that contains a match begins a document; see LineRegex
  int64_t bytes = 0;      // for `size`: a document ends after the line that brings it to this many bytes
  int64_t min_bytes = 0;  // for `blank_lines` and `regex`: shorter documents are joined with the next
};

class DocumentSplitter {
 public:
  explicit DocumentSplitter(SplitRule rule);  // UserError if the rule is invalid

  // Returns the documents of one text. Concatenated they give the text back byte for byte, and none is empty. Throws a
  // UserError that names the line if the regular expression takes too long on it.
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
  std::vector<std::string> inputs;  // files and folders; files may be compressed by gzip or zstd
  TextFormat format = TextFormat::automatic;
  SplitRule split;
  std::string json_field = "text";  // see text_of_json_line()
  int64_t max_file_bytes = 0;       // see UnpackLimits
  std::filesystem::path output;     // skipped if it lies within an input folder; may be empty
  Log log;
};

struct CorpusReport {
  int64_t text_files = 0, json_files = 0, documents = 0, bytes = 0;
  int64_t non_utf8_files = 0;            // text files that hold bytes that are not UTF-8
  std::filesystem::path first_non_utf8;  // the first of them
};

class Corpus {
 public:
  // Finds the files and reads the first bytes of each.
  // Errors: DataError lists the files that are not text (see content.h). UserError and IoError are those of
  //         find_inputs().
  explicit Corpus(CorpusOptions options);

  // Calls use(document) for every document, in the order of the files. A UTF-8 byte order mark at the start of a file
  // is not part of its text.
  // Errors: DataError names a file whose full contents turn out not to be text, or the path and line of a bad JSON line
  //         unless `bad` skips it. IoError names what cannot be read.
  CorpusReport read(BadLines& bad, const DocumentUse& use) const;

 private:
  CorpusOptions options_;
  DocumentSplitter splitter_;
  std::vector<std::filesystem::path> files_;
};

}  // namespace birkhoff
