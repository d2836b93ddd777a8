#pragma once
// Implements `birkhoff tokenizer train`, `encode` and `decode`, without their command lines. Nothing here opens a text
// file: the caller passes the documents, which it reads through data/ingest/documents.h.
#include <cstdint>
#include <functional>
#include <istream>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/trainer.h"

namespace birkhoff {

// Calls `use` for each document of the text.
using DocumentUse = std::function<void(std::string_view document)>;
using DocumentFeed = std::function<void(const DocumentUse& use)>;

struct TokenizerTrainReport {
  int64_t documents = 0, bytes = 0;
  int32_t vocab_size = 0;
};

// Trains on every document and publishes `out_path` (a tokenizer.json) atomically.
// Errors: those of TokenizerTrainer and of the feed. Before any text is read: UserError if `out_path` is empty, a
//         folder, a device, or an existing file that is not a tokenizer.json; IoError if it cannot be written.
//         DataError if the documents hold no text.
TokenizerTrainReport train_tokenizer(const DocumentFeed& feed, const TokenizerTraining& options,
                                     const std::string& out_path);

// Encodes `in` as decimal ids separated by spaces. `line` encodes each line separately, with its newline, and prints
// one line of ids for it. `whole` encodes the text uncut and prints one line. The ids of the two may differ, because a
// token may span a newline.
enum class EncodeBy { line, whole };
void encode_stream(const Tokenizer& tokenizer, std::istream& in, std::ostream& out, EncodeBy by);

// Decodes decimal ids separated by white space. Errors: UserError names a word that is not an id.
void decode_stream(const Tokenizer& tokenizer, std::istream& in, std::ostream& out);

}  // namespace birkhoff
