#pragma once
// Options shared by all commands that read text.
#include <cstdint>
#include <string>

#include "data/ingest/content.h"
#include "data/shard/bad_data.h"

namespace birkhoff {

TextFormat format_of(const std::string& word);  // auto, text or jsonl

// The bytes of --max-file-mib. Errors: UserError if the number is negative or too large.
int64_t bytes_of_mib(int64_t mib);

// Prints to standard error, so that standard output holds only the result.
void print_note(const std::string& note);

}  // namespace birkhoff
