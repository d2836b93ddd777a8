#pragma once
// What `birkhoff tokenizer train|encode|decode` do, apart from the command line. Nothing here opens a text file: the
// caller says how texts are read, so that compressed and structured files work alike.
#include <cstdint>
#include <functional>
#include <istream>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/trainer.h"

namespace birkhoff {

// Calls `use` for each document of a file, in order.
using DocumentUse = std::function<void(std::string_view document)>;
using DocumentReader = std::function<void(const std::string& path, const DocumentUse& use)>;

// The regular files among `paths` and below the folders among them, each folder in the order of names.
// Errors: UserError names a path that does not exist, or says that there is no file at all.
std::vector<std::string> expand_paths(const std::vector<std::string>& paths);

struct TokenizerTrainReport {
  int64_t files = 0, documents = 0, bytes = 0;
  int32_t vocab_size = 0;
};

// Trains on every document of the given files and folders and publishes `out_path` (a tokenizer.json) atomically.
TokenizerTrainReport train_tokenizer(const std::vector<std::string>& paths, const DocumentReader& read,
                                     const TokenizerTraining& options, const std::string& out_path);

// All of `in` as one text -> decimal ids, separated by spaces, one line per line of text (its newline included in the
// ids). Ids of a text cut at newlines may differ from ids of the whole; `whole` encodes it uncut and prints one line.
enum class EncodeBy { line, whole };
void encode_stream(const Tokenizer& tokenizer, std::istream& in, std::ostream& out, EncodeBy by);

// Decimal ids separated by white space -> bytes. Errors: UserError names a word that is no id.
void decode_stream(const Tokenizer& tokenizer, std::istream& in, std::ostream& out);

}  // namespace birkhoff
