#pragma once
#include <initializer_list>
#include <string>
#include <string_view>

#include "data/json/json.h"

namespace birkhoff {

// The "type" of an object of a tokenizer.json, its fields checked: a field that is not known would be ignored, so it is
// refused by name. `where` names the object in messages.
std::string json_type(const Json& object, std::string_view where);
void allow_fields(const Json& object, std::string_view where, std::initializer_list<std::string_view> fields);

// Members with their types checked. UserError names the field.
const Json& json_field(const Json& object, const char* field, std::string_view where);  // which must be there
bool json_flag(const Json& object, const char* field, bool absent);
std::string json_text(const Json& object, const char* field, std::string_view where);
const Json& json_list(const Json& object, const char* field, std::string_view where);

// An id of a token: a whole number that is written as one, below kMaxTokens.
inline constexpr int32_t kMaxTokens = 16 << 20;
int32_t json_token_id(const Json& value, const std::string& what);

}  // namespace birkhoff
