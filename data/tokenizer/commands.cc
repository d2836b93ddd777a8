#include "data/tokenizer/commands.h"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <iterator>

#include "data/hdf5/bulk_file.h"
#include "kernels/core/error.h"

namespace birkhoff {
namespace {

namespace fs = std::filesystem;

void publish(const std::string& path, const std::string& text) {
  try {
    publish_text(path, text);
  } catch (const IoError& error) {
    throw UserError(concat("cannot write ", path, ": ", error.what(), ". Is its folder there and writable?"));
  }
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

std::vector<std::string> expand_paths(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    BK_CHECK(fs::exists(path), "there is no file or folder ", path);
    if (!fs::is_directory(path)) {
      files.push_back(path);
      continue;
    }
    const auto first = files.size();
    for (const auto& entry : fs::recursive_directory_iterator(path)) {
      if (entry.is_regular_file()) files.push_back(entry.path().string());
    }
    std::sort(files.begin() + static_cast<std::ptrdiff_t>(first), files.end());
  }
  BK_CHECK(!files.empty(), "no text is given: name at least one file, or a folder that holds one");
  return files;
}

TokenizerTrainReport train_tokenizer(const std::vector<std::string>& paths, const DocumentReader& read,
                                     const TokenizerTraining& options, const std::string& out_path) {
  TokenizerTrainer trainer(options);
  TokenizerTrainReport report;
  for (const std::string& file : expand_paths(paths)) {
    ++report.files;
    read(file, [&](std::string_view document) {
      ++report.documents;
      report.bytes += static_cast<int64_t>(document.size());
      trainer.feed(document);
    });
  }
  const Tokenizer tokenizer = trainer.train();
  report.vocab_size = tokenizer.vocab_size();
  publish(out_path, tokenizer.to_json());
  return report;
}

void encode_stream(const Tokenizer& tokenizer, std::istream& in, std::ostream& out, EncodeBy by) {
  if (by == EncodeBy::whole) {
    const std::string text{std::istreambuf_iterator<char>(in), {}};
    print_ids(tokenizer.encode(text), out);
    return;
  }
  std::string line;
  while (std::getline(in, line)) {
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
