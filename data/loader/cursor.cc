#include "data/loader/cursor.h"

#include <nlohmann/json.hpp>

#include "kernels/core/error.h"
#include "kernels/core/hash.h"

namespace birkhoff {
namespace {
using Json = nlohmann::json;
constexpr int kVersion = 1;
}  // namespace

std::string to_string(const Cursor& cursor) {
  Json json{{"v", kVersion},           {"order", hex16(cursor.order_digest)},   {"sequences", cursor.sequences},
            {"tokens", cursor.tokens}, {"mixture_start", cursor.mixture_start}, {"sources", Json::array()}};
  for (const SourceCursor& s : cursor.sources)
    json["sources"].push_back({s.key, s.epoch, s.ordinal, s.offset, s.sequences});
  return json.dump();
}

Cursor parse_cursor(const std::string& text) {
  try {
    const Json json = Json::parse(text);
    if (const int version = json.at("v"); version != kVersion)
      throw DataError(concat("data cursor: expected version ", kVersion, ", found ", version));
    Cursor cursor{std::stoull(json.at("order").get<std::string>(), nullptr, 16),
                  json.at("sequences"),
                  json.at("tokens"),
                  json.at("mixture_start"),
                  {}};
    for (const Json& s : json.at("sources")) cursor.sources.push_back({s.at(0), s.at(1), s.at(2), s.at(3), s.at(4)});
    return cursor;
  } catch (const Json::exception& error) {
    throw DataError(concat("data cursor: ", error.what()));
  } catch (const std::logic_error& error) {
    throw DataError(concat("data cursor: cannot read the order digest: ", error.what()));
  }
}

}  // namespace birkhoff
