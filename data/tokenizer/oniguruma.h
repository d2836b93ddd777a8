#pragma once
#include <string>
#include <string_view>

namespace birkhoff {

// Rewrites a pattern of a tokenizer file, which is written for Oniguruma in its default syntax, so that PCRE2 finds the
// same matches (RegexMode::multiline). Only constructs that are known to mean the same after the rewriting pass.
// Errors: UserError names whatever else the pattern uses (\b, \h, &&, back references, ...).
std::string translate_oniguruma(std::string_view pattern);

}  // namespace birkhoff
