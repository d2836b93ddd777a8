#pragma once
// What `birkhoff tokenizer train|encode|decode` do, apart from the command line. Nothing here opens a text file: the
// caller feeds the documents, so that they are read as data/ingest/documents.h reads them.
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
// Errors: those of TokenizerTrainer and of the feed; before any text is read, UserError where `out_path` is a folder
//         or a device, IoError where it cannot be written.
TokenizerTrainReport train_tokenizer(const DocumentFeed& feed, const TokenizerTraining& options,
                                     const std::string& out_path);

// All of `in` as one text -> decimal ids, separated by spaces, one line per line of text (its newline included in the
// ids). Ids of a text cut at newlines may differ from ids of the whole; `whole` encodes it uncut and prints one line.
enum class EncodeBy { line, whole };
void encode_stream(const Tokenizer& tokenizer, std::istream& in, std::ostream& out, EncodeBy by);

// Decimal ids separated by white space -> bytes. Errors: UserError names a word that is no id.
void decode_stream(const Tokenizer& tokenizer, std::istream& in, std::ostream& out);

}  // namespace birkhoff
