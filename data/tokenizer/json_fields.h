#pragma once
#include <initializer_list>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace birkhoff {

using Json = nlohmann::json;

// The "type" of an object of a tokenizer.json, its fields checked: a field that is not known would be ignored, so it is
// refused by name. `where` names the object in messages.
std::string json_type(const Json& object, std::string_view where);
void allow_fields(const Json& object, std::string_view where, std::initializer_list<std::string_view> fields);

bool json_flag(const Json& object, const char* field, bool absent);

}  // namespace birkhoff
