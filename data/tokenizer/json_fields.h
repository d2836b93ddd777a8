#pragma once
#include <initializer_list>
#include <string>
#include <string_view>

#include "data/json/json.h"

namespace birkhoff {

// Accessors for the objects of a tokenizer.json. All throw a UserError if the file does not meet their requirements.
// The message says what is wrong, and calls the object `where` or the token `what`.
//
// json_type() returns the "type" of an object. allow_fields() rejects fields that are not in the list, which would
// otherwise be silently ignored.
std::string json_type(const Json& object, std::string_view where);
void allow_fields(const Json& object, std::string_view where, std::initializer_list<std::string_view> fields);

// Members. Each must be present, except for json_flag(). The type is checked, except by json_field().
const Json& json_field(const Json& object, const char* field, std::string_view where);
bool json_flag(const Json& object, const char* field, bool if_absent);
std::string json_text(const Json& object, const char* field, std::string_view where);
const Json& json_list(const Json& object, const char* field, std::string_view where);

// A token id: a whole number from 0 to kMaxTokens - 1, written without a decimal point.
inline constexpr int32_t kMaxTokens = 16 << 20;
int32_t json_token_id(const Json& value, const std::string& what);

}  // namespace birkhoff
