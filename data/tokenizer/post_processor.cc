#include "data/tokenizer/post_processor.h"

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

std::vector<int32_t> ids_of(const Json& special_tokens, const std::string& name) {
  BK_CHECK(special_tokens.contains(name), "the post_processor of the tokenizer file uses ", name,
           ", which its special_tokens lack");
  return special_tokens[name].at("ids").get<std::vector<int32_t>>();
}

void append_template(const Json& json, PostProcessor& out) {
  allow_fields(json, "post_processor TemplateProcessing", {"type", "single", "pair", "special_tokens"});
  std::vector<int32_t> before, after;
  int texts = 0;
  for (const Json& piece : json.at("single")) {
    if (piece.contains("Sequence")) {
      ++texts;
    } else {
      const auto ids = ids_of(json.at("special_tokens"), piece.at("SpecialToken").at("id"));
      auto& side = texts == 0 ? before : after;
      side.insert(side.end(), ids.begin(), ids.end());
    }
  }
  BK_CHECK(texts == 1, "the post_processor of the tokenizer file uses its text ", texts, " times; once is supported");
  out.prefix.insert(out.prefix.begin(), before.begin(), before.end());
  out.suffix.insert(out.suffix.end(), after.begin(), after.end());
}

void append(const Json& json, PostProcessor& out) {
  const std::string type = json_type(json, "the post_processor");
  if (type == "Sequence") {
    allow_fields(json, "post_processor Sequence", {"type", "processors"});
    for (const Json& step : json.at("processors")) append(step, out);
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
