#include "data/tokenizer/json_fields.h"

#include <algorithm>

#include "kernels/core/error.h"

namespace birkhoff {

std::string json_type(const Json& object, std::string_view where) {
  BK_CHECK(object.is_object() && object.contains("type") && object["type"].is_string(), where,
           " of the tokenizer file must be an object with a type, not ", json_excerpt(object));
  return object["type"];
}

void allow_fields(const Json& object, std::string_view where, std::initializer_list<std::string_view> fields) {
  BK_CHECK(object.is_object(), where, " of the tokenizer file must be an object, not ", json_excerpt(object));
  for (const auto& item : object.items()) {
    BK_CHECK(std::find(fields.begin(), fields.end(), item.key()) != fields.end(), where,
             " of the tokenizer file has the field ", item.key(), ", which is not supported");
  }
}

bool json_flag(const Json& object, const char* field, bool if_absent) {
  const auto found = object.find(field);
  if (found == object.end()) return if_absent;
  BK_CHECK(found->is_boolean(), "the field ", field, " of the tokenizer file must be true or false, not ",
           json_excerpt(*found));
  return *found;
}

const Json& json_field(const Json& object, const char* field, std::string_view where) {
  const auto found = object.find(field);
  BK_CHECK(found != object.end(), where, " of the tokenizer file has no ", field);
  return *found;
}

std::string json_text(const Json& object, const char* field, std::string_view where) {
  const Json& value = json_field(object, field, where);
  BK_CHECK(value.is_string(), "the ", field, " of ", where, " of the tokenizer file must be a string, not ",
           json_excerpt(value));
  return value.get<std::string>();
}

const Json& json_list(const Json& object, const char* field, std::string_view where) {
  const Json& value = json_field(object, field, where);
  BK_CHECK(value.is_array(), "the ", field, " of ", where, " of the tokenizer file must be a list, not ",
           value.type_name());
  return value;
}

int32_t json_token_id(const Json& value, const std::string& what) {
  const bool fits = value.is_number_unsigned() ? value.get<uint64_t>() < static_cast<uint64_t>(kMaxTokens)
                                               : value.is_number_integer() && value.get<int64_t>() >= 0;
  BK_CHECK(fits, "the tokenizer file gives ", what, " the id ", json_excerpt(value),
           "; expected a whole number from 0 to ", kMaxTokens - 1);
  return value.get<int32_t>();
}

}  // namespace birkhoff
