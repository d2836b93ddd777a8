#include "data/tokenizer/commands.h"

#include <charconv>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "data/file/regular_file.h"
#include "data/hdf5/bulk_file.h"
#include "data/json/json.h"
#include "kernels/core/error.h"

namespace birkhoff {
namespace {

// Only a tokenizer.json (or an empty file) is replaced, so that a mistyped output, such as the name of an input, does
// not destroy a file.
void check_replaceable(const std::filesystem::path& path) {
  bool is_tokenizer = false;
  try {
    const std::string text = read_regular_file(path);
    if (text.empty()) return;
    const Json json = parse_json(text, path.string());
    is_tokenizer = json.is_object() && json.contains("model");
  } catch (const IoError&) {
    throw;
  } catch (const DataError&) {  // not JSON
  }
  BK_CHECK(is_tokenizer, path.string(), " exists and is no tokenizer.json; remove it, or name another file to write");
}

// Up to version 0.1, a training that was killed while it wrote OUT left a partial file OUT.partial. The name does not
// identify its process. But writing took only moments, so a file that is more than a minute old has no writer any more.
void remove_partial_of_old_program(const std::filesystem::path& out) {
  constexpr std::string_view kBeginning = "{\n \"version\": \"1.0\",\n \"truncation\": null,\n \"padding\": null,";
  const std::filesystem::path partial = out.string() + ".partial";
  std::error_code error;  // ignored: a leftover that cannot be read or removed does no harm
  if (std::filesystem::symlink_status(partial, error).type() != std::filesystem::file_type::regular) return;
  const auto written = std::filesystem::last_write_time(partial, error);
  if (error || written + std::chrono::minutes(1) > std::filesystem::file_time_type::clock::now()) return;
  std::string begins(kBeginning.size(), '\0');
  std::ifstream file(partial, std::ios::binary);
  file.read(begins.data(), static_cast<std::streamsize>(begins.size()));
  begins.resize(static_cast<size_t>(file.gcount()));
  if (kBeginning.starts_with(begins)) std::filesystem::remove(partial, error);
}

// Checks before training that the result can be written, which could otherwise fail after hours.
void check_writable(const std::filesystem::path& path) {
  BK_CHECK(!path.empty(), "the name of the tokenizer is empty; name a file to write");
  const auto trial = new_temporary(path);
  std::error_code error;
  const bool is_taken = std::filesystem::exists(path, error) && !std::filesystem::is_regular_file(path, error);
  // publish_text() renames, which would replace a device by a regular file.
  BK_CHECK(!is_taken, path.string(), " is no regular file; name a file to write");
  if (std::filesystem::exists(path, error)) check_replaceable(path);
  try {
    BulkFile::create(trial);
  } catch (const IoError& refused) {
    throw IoError(concat(path.string(), ": cannot be written: ", std::strerror(refused.code())), refused.code());
  }
  std::filesystem::remove(trial, error);
}

void print_ids(const std::vector<int32_t>& ids, std::ostream& out) {
  for (size_t i = 0; i < ids.size(); ++i) out << (i ? " " : "") << ids[i];
  out << '\n';
}

int32_t id_from(std::string_view word) {
  int32_t id = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), id);
  BK_CHECK(error == std::errc() && end == word.data() + word.size(), "'", word,
           "' is not a token id; ids are whole numbers separated by white space");
  return id;
}

}  // namespace

TokenizerTrainReport train_tokenizer(const DocumentFeed& feed, const TokenizerTraining& options,
                                     const std::string& out_path) {
  TokenizerTrainer trainer(options);
  check_writable(out_path);
  remove_partial_of_old_program(out_path);
  TokenizerTrainReport report;
  feed([&](std::string_view document) {
    ++report.documents;
    report.bytes += static_cast<int64_t>(document.size());
    trainer.feed(document);
  });
  if (report.bytes == 0) throw DataError("the input holds no text to train on");
  const Tokenizer tokenizer = trainer.train();
  report.vocab_size = tokenizer.vocab_size();
  publish_text(out_path, tokenizer.to_json());
  return report;
}

void encode_stream(const Tokenizer& tokenizer, std::istream& in, std::ostream& out, EncodeBy by) {
  if (by == EncodeBy::whole) {
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    print_ids(tokenizer.encode(text), out);
    return;
  }
  std::string line;
  while (out && std::getline(in, line)) {  // stop if the output is closed: the input may be endless
    if (!in.eof()) line += '\n';
    print_ids(tokenizer.encode(line), out);
  }
}

void decode_stream(const Tokenizer& tokenizer, std::istream& in, std::ostream& out) {
  std::vector<int32_t> ids;
  for (std::string word; in >> word;) ids.push_back(id_from(word));
  out << tokenizer.decode(ids);
}

}  // namespace birkhoff
