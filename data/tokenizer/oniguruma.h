#pragma once
#include <string>
#include <string_view>

namespace birkhoff {

// Rewrites a pattern of a tokenizer file so that PCRE2 (RegexMode::multiline) finds the same matches. Such patterns are
// written for Oniguruma with its default syntax. Only constructs that are known to have the same meaning after the
// rewriting are accepted.
// Errors: UserError names any other construct (\b, \h, &&, back references, ...).
std::string translate_oniguruma(std::string_view pattern);

}  // namespace birkhoff
