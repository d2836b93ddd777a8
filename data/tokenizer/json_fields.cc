#include "data/tokenizer/json_fields.h"

#include <algorithm>

#include "kernels/core/error.h"

namespace birkhoff {

std::string json_type(const Json& object, std::string_view where) {
  BK_CHECK(object.is_object() && object.contains("type") && object["type"].is_string(), where,
           " of the tokenizer file must be an object with a type, not ", object.dump());
  return object["type"];
}

void allow_fields(const Json& object, std::string_view where, std::initializer_list<std::string_view> fields) {
  BK_CHECK(object.is_object(), where, " of the tokenizer file must be an object, not ", object.dump());
  for (const auto& item : object.items()) {
    BK_CHECK(std::find(fields.begin(), fields.end(), item.key()) != fields.end(), where,
             " of the tokenizer file has the field ", item.key(), ", which is not supported");
  }
}

bool json_flag(const Json& object, const char* field, bool absent) {
  const auto found = object.find(field);
  if (found == object.end()) return absent;
  BK_CHECK(found->is_boolean(), "the field ", field, " of the tokenizer file must be true or false, not ",
           found->dump());
  return *found;
}

}  // namespace birkhoff
