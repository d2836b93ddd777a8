#include "data/ingest/documents.h"

#include <algorithm>
#include <utility>

#include "data/ingest/unpack.h"
#include "data/tokenizer/unicode.h"
#include "kernels/core/error.h"

namespace birkhoff {
namespace {

constexpr size_t kRefusedShown = 20;

std::string_view line_at(std::string_view text, size_t at) {
  const size_t end = text.find('\n', at);
  return text.substr(at, end == std::string_view::npos ? end : end - at + 1);
}

bool blank(std::string_view line) { return line.find_first_not_of(" \t\r\n\f\v") == std::string_view::npos; }

// Looks at the head of every file before any is read in full, so that one picture among a million texts is reported at
// once rather than after hours.
void refuse_foreign(const std::vector<std::filesystem::path>& files) {
  std::string message;
  size_t count = 0;
  for (const auto& file : files) {
    const std::string format = foreign_format(read_unpacked_head(file));
    if (!format.empty() && count++ < kRefusedShown) message += concat("\n  ", shown(file), ": ", format);
  }
  if (count == 0) return;
  if (count > kRefusedShown) message += concat("\n  and ", count - kRefusedShown, " more");
  throw DataError(concat(count, count == 1 ? " file holds no text:" : " files hold no text:", message,
                         "\nText and JSON lines are read, plain or compressed by gzip or zstd. Convert such files or "
                         "leave them out; --format text takes their bytes as they are"));
}

// Reads files one after the other, passes their documents on, and counts them.
class CorpusReader {
 public:
  CorpusReader(const CorpusOptions& options, const DocumentSplitter& splitter, BadLines& bad, const DocumentUse& use)
      : options_(options), splitter_(splitter), bad_(bad), use_(use) {}

  void read(const std::filesystem::path& path) {
    const std::string bytes = read_unpacked(path, {options_.max_file_bytes});
    std::string_view text = bytes;
    const TextFormat format =
        options_.format == TextFormat::automatic ? choose_format(path, text, shown(path)) : options_.format;
    if (text.starts_with(kUtf8Mark)) text.remove_prefix(kUtf8Mark.size());
    if (format == TextFormat::json_lines) {
      ++report_.json_files;
      return read_json_lines(path, text);
    }
    ++report_.text_files;
    if (!is_utf8(text) && report_.non_utf8_files++ == 0) report_.first_non_utf8 = path;
    for (const std::string_view document : split(path, text)) take(document);
  }

  const CorpusReport& report() const { return report_; }

 private:
  std::vector<std::string_view> split(const std::filesystem::path& path, std::string_view text) const {
    try {
      return splitter_.split(text);
    } catch (const UserError& error) {
      throw UserError(concat(shown(path), ": ", error.what()));
    }
  }

  void read_json_lines(const std::filesystem::path& path, std::string_view text) {
    int64_t number = 0;
    for (size_t at = 0; at < text.size();) {
      const std::string_view line = line_at(text, at);
      at += line.size();
      ++number;
      if (!blank(line)) read_json_line(path, number, line.substr(0, line.find('\n')));
    }
  }

  void read_json_line(const std::filesystem::path& path, int64_t number, std::string_view line) {
    std::string document;
    try {
      // An empty place leaves ": REASON", whose first two characters are removed: BadLines adds the place itself.
      document = text_of_json_line(line, options_.json_field, "");
    } catch (const DataError& error) {
      return bad_.add(path, number, std::string(error.what()).substr(std::string_view(": ").size()));
    }
    if (!document.empty()) take(document);
  }

  void take(std::string_view document) {
    ++report_.documents;
    report_.bytes += static_cast<int64_t>(document.size());
    use_(document);
  }

  const CorpusOptions& options_;
  const DocumentSplitter& splitter_;
  BadLines& bad_;
  const DocumentUse& use_;
  CorpusReport report_;
};

std::string summary(const CorpusReport& report, const CorpusOptions& options) {
  std::string kinds;
  if (report.text_files > 0) kinds += concat(report.text_files, " as text");
  if (report.json_files > 0) {
    kinds += concat(kinds.empty() ? "" : ", ", report.json_files, " as JSON lines (field '", options.json_field, "')");
  }
  return concat("read files: ", kinds, "; ", report.documents, " documents, ", report.bytes, " bytes of text");
}

// The tokenizer encodes any byte, so nothing of such a file is lost. But text in Latin-1 or Shift JIS is rarely
// intended, so the user is warned.
std::string non_utf8_note(const CorpusReport& report) {
  const std::string others = report.non_utf8_files > 1 ? concat(" and ", report.non_utf8_files - 1, " more") : "";
  return concat("not all bytes are UTF-8, and they are kept as they are, in ", shown(report.first_non_utf8), others,
                "; convert text of another encoding with iconv");
}

}  // namespace

DocumentSplitter::DocumentSplitter(SplitRule rule) : rule_(std::move(rule)) {
  if (rule_.kind == SplitRule::Kind::regex) regex_.emplace(rule_.regex);
  BK_CHECK(rule_.kind != SplitRule::Kind::size || rule_.bytes > 0, "documents of ", rule_.bytes, " bytes are empty");
}

// Whether the current document, of `document_bytes` so far, ends before this line.
bool DocumentSplitter::cut_before(std::string_view line, int64_t document_bytes, Lines& lines) const {
  const bool was_blank = std::exchange(lines.last_blank, blank(line));
  ++lines.number;
  switch (rule_.kind) {
    case SplitRule::Kind::whole:
      return false;
    case SplitRule::Kind::blank_lines:
      return was_blank && !lines.last_blank && document_bytes >= rule_.min_bytes;
    case SplitRule::Kind::regex:
      try {
        return document_bytes >= rule_.min_bytes && regex_->found_in(line);
      } catch (const UserError& error) {
        throw UserError(concat("line ", lines.number, ": ", error.what()));
      }
    case SplitRule::Kind::size:
      return document_bytes >= rule_.bytes;
  }
  return false;
}

std::vector<std::string_view> DocumentSplitter::split(std::string_view text) const {
  Lines lines;
  std::vector<std::string_view> documents;
  size_t begin = 0;
  for (size_t at = 0; at < text.size();) {
    const std::string_view line = line_at(text, at);
    if (cut_before(line, static_cast<int64_t>(at - begin), lines) && at > begin) {
      documents.push_back(text.substr(begin, at - begin));
      begin = at;
    }
    at += line.size();
  }
  if (begin < text.size()) documents.push_back(text.substr(begin));
  return documents;
}

Corpus::Corpus(CorpusOptions options) : options_(std::move(options)), splitter_(options_.split) {
  files_ = find_inputs(options_.inputs, options_.output, options_.log);
  if (options_.format == TextFormat::automatic) refuse_foreign(files_);
}

CorpusReport Corpus::read(BadLines& bad, const DocumentUse& use) const {
  CorpusReader reader(options_, splitter_, bad, use);
  for (const auto& file : files_) reader.read(file);
  if (!options_.log) return reader.report();
  options_.log(summary(reader.report(), options_));
  if (reader.report().non_utf8_files > 0 && options_.format == TextFormat::automatic) {
    options_.log(non_utf8_note(reader.report()));
  }
  return reader.report();
}

}  // namespace birkhoff
