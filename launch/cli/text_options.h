#pragma once
// Options that all commands have which read text.
#include <cstdint>
#include <string>

#include "data/ingest/content.h"
#include "data/ingest/json_lines.h"

namespace birkhoff {

TextFormat format_of(const std::string& word);  // auto, text or jsonl

BadData policy_of(const std::string& word);  // fail or skip

// Of --max-file-mib. Errors: UserError for a negative or too large number.
int64_t bytes_of_mib(int64_t mib);

// To standard error, so that standard output keeps to the result.
void print_note(const std::string& note);

}  // namespace birkhoff
