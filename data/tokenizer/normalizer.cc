#include "data/tokenizer/normalizer.h"

#include <map>

#include "kernels/core/error.h"

namespace birkhoff {

Regex regex_from_json(const Json& pattern) {
  allow_fields(pattern, "a pattern", {"String", "Regex"});
  BK_CHECK(pattern.size() == 1, "a pattern of the tokenizer file must be one String or one Regex, not ",
           json_excerpt(pattern));
  const std::string text = json_text(pattern, pattern.begin().key().c_str(), "a pattern");
  return pattern.contains("String") ? Regex::literal(text) : Regex(text);
}

Normalizer Normalizer::from_json(const Json& json) {
  Normalizer normalizer;
  if (!json.is_null()) normalizer.append(json);
  return normalizer;
}

void Normalizer::append(const Json& json) {
  static const std::map<std::string, NormalForm> kForms = {
      {"NFC", NormalForm::nfc}, {"NFD", NormalForm::nfd}, {"NFKC", NormalForm::nfkc}, {"NFKD", NormalForm::nfkd}};
  const std::string type = json_type(json, "the normalizer");
  const std::string where = "normalizer " + type;
  if (type == "Sequence") {
    allow_fields(json, where, {"type", "normalizers"});
    for (const Json& step : json_list(json, "normalizers", where)) append(step);
  } else if (const auto form = kForms.find(type); form != kForms.end()) {
    allow_fields(json, where, {"type"});
    steps_.emplace_back(form->second);
  } else if (type == "Lowercase") {
    allow_fields(json, where, {"type"});
    steps_.emplace_back(Lowercase{});
  } else if (type == "StripAccents") {
    allow_fields(json, where, {"type"});
    steps_.emplace_back(StripAccents{});
  } else if (type == "Strip") {
    allow_fields(json, where, {"type", "strip_left", "strip_right"});
    const bool left = json_flag(json, "strip_left", true), right = json_flag(json, "strip_right", true);
    if (left || right) steps_.emplace_back(left && right ? Ends::both : left ? Ends::left : Ends::right);
  } else if (type == "Prepend") {
    allow_fields(json, where, {"type", "prepend"});
    steps_.emplace_back(Prepend{json_text(json, "prepend", where)});
  } else if (type == "Replace") {
    allow_fields(json, where, {"type", "pattern", "content"});
    steps_.emplace_back(
        Replace{regex_from_json(json_field(json, "pattern", where)), json_text(json, "content", where)});
  } else {
    throw UserError(concat("the tokenizer file has the normalizer ", type, ", which is not supported"));
  }
}

struct Normalizer::Apply {
  std::string_view text;

  std::string operator()(NormalForm form) const { return normalize(text, form); }
  std::string operator()(Lowercase) const { return lowercase(text); }
  std::string operator()(StripAccents) const { return without_marks(text); }
  std::string operator()(Ends ends) const { return std::string(strip(text, ends)); }
  std::string operator()(const Prepend& p) const { return text.empty() ? std::string() : p.text + std::string(text); }
  std::string operator()(const Replace& r) const {
    std::string out;
    size_t end = 0;
    r.pattern.for_each_match(text, [&](Match match) {
      out += text.substr(end, match.begin - end);
      out += r.text;
      end = match.end;
    });
    return out += text.substr(end);
  }
};

// Replace and Prepend steps can lengthen the text, and a sequence of them multiplies these factors, so the length is
// limited. The normal forms of Unicode lengthen a text by at most a factor of twelve.
std::string Normalizer::operator()(std::string text) const {
  const size_t given = text.size(), most = 64 * given + (size_t{1} << 20);
  for (const Step& step : steps_) {
    std::string next;
    for_each_utf8_run(
        text, [&](Utf8Run run) { next += run.valid ? std::visit(Apply{run.bytes}, step) : std::string(run.bytes); });
    text = std::move(next);
    BK_CHECK(text.size() <= most, "the normalizer of the tokenizer file makes ", text.size(), " bytes of a text of ",
             given, "; at most ", most, " are supported");
  }
  return text;
}

}  // namespace birkhoff
