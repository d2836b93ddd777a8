#include "data/tokenizer/post_processor.h"

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

std::vector<int32_t> ids_of(const Json& special_tokens, const std::string& name) {
  BK_CHECK(special_tokens.contains(name) && special_tokens[name].is_object(),
           "the post_processor of the tokenizer file uses ", name, ", which its special_tokens lack");
  std::vector<int32_t> ids;
  for (const Json& id : json_list(special_tokens[name], "ids", "the special token " + name)) {
    ids.push_back(json_token_id(id, "the special token " + name));
  }
  return ids;
}

void append_template(const Json& json, PostProcessor& out) {
  allow_fields(json, "post_processor TemplateProcessing", {"type", "single", "pair", "special_tokens"});
  std::vector<int32_t> before, after;
  int texts = 0;
  const Json empty = Json::object();
  const Json& special = json.contains("special_tokens") ? json["special_tokens"] : empty;
  BK_CHECK(special.is_object(), "the special_tokens of the post_processor must be an object, not ",
           special.type_name());
  for (const Json& piece : json_list(json, "single", "post_processor TemplateProcessing")) {
    BK_CHECK(piece.is_object(), "a piece of the post_processor must be an object, not ", json_excerpt(piece));
    if (piece.contains("Sequence")) {
      ++texts;
    } else {
      const Json& token = json_field(piece, "SpecialToken", "a piece of the post_processor");
      BK_CHECK(token.is_object(), "a SpecialToken of the post_processor must be an object, not ", json_excerpt(token));
      const auto ids = ids_of(special, json_text(token, "id", "a piece of the post_processor"));
      auto& side = texts == 0 ? before : after;
      side.insert(side.end(), ids.begin(), ids.end());
    }
  }
  BK_CHECK(texts == 1, "the post_processor of the tokenizer file uses its text ", texts, " times; once is supported");
  // Later processors of a sequence wrap around earlier ones.
  out.prefix.insert(out.prefix.begin(), before.begin(), before.end());
  out.suffix.insert(out.suffix.end(), after.begin(), after.end());
}

void append(const Json& json, PostProcessor& out) {
  const std::string type = json_type(json, "the post_processor");
  if (type == "Sequence") {
    allow_fields(json, "post_processor Sequence", {"type", "processors"});
    for (const Json& step : json_list(json, "processors", "post_processor Sequence")) append(step, out);
  } else if (type == "TemplateProcessing") {
    append_template(json, out);
  } else if (type == "ByteLevel") {
    allow_fields(json, "post_processor ByteLevel", {"type", "add_prefix_space", "trim_offsets", "use_regex"});
  } else {
    throw UserError(concat("the tokenizer file has the post_processor ", type, ", which is not supported"));
  }
}

}  // namespace

PostProcessor PostProcessor::from_json(const Json& json) {
  PostProcessor out;
  if (!json.is_null()) append(json, out);
  return out;
}

}  // namespace birkhoff
