#include "data/loader/cursor.h"

#include <limits>

#include "data/json/json.h"
#include "kernels/core/error.h"
#include "kernels/core/hash.h"

namespace birkhoff {
namespace {

constexpr int kVersion = 1;
constexpr char kPlace[] = "data cursor";
// Far more than any run consumes, and small enough that the sum of a thousand such numbers fits 63 bits.
constexpr int64_t kMaxCount = int64_t{1} << 52;

SourceCursor source_from(const JsonView& json) {
  const std::vector<JsonView> columns = json.elements();
  if (columns.size() != 5) json.refuse("5 numbers: key, epoch, document, input, sequences");
  SourceCursor source;
  source.key = static_cast<uint32_t>(columns[0].integer(0, std::numeric_limits<uint32_t>::max()));
  source.epoch = columns[1].integer(0, kMaxCount);
  source.ordinal = columns[2].integer(0, kMaxCount);
  source.offset = columns[3].integer(0, kMaxCount);
  source.sequences = columns[4].integer(0, kMaxCount);
  return source;
}

}  // namespace

std::string to_string(const Cursor& cursor) {
  Json json{{"v", kVersion},           {"order", hex16(cursor.order_digest)},   {"sequences", cursor.sequences},
            {"tokens", cursor.tokens}, {"mixture_start", cursor.mixture_start}, {"sources", Json::array()}};
  // Omitted if unknown, as in the cursors of older programs.
  if (cursor.content_digest != 0) json["content"] = hex16(cursor.content_digest);
  for (const SourceCursor& s : cursor.sources)
    json["sources"].push_back({s.key, s.epoch, s.ordinal, s.offset, s.sequences});
  return json.dump();
}

Cursor parse_cursor(const std::string& text) {
  const Json whole = parse_json(text, kPlace);
  const JsonView json(whole, kPlace);
  if (const int64_t version = json.at("v").integer(); version != kVersion)
    throw DataError(concat(kPlace, ": expected version ", kVersion, ", found ", version));
  Cursor cursor;
  cursor.order_digest = json.at("order").hex64();
  if (json.has("content")) cursor.content_digest = json.at("content").hex64();
  cursor.sequences = json.at("sequences").integer(0, kMaxCount);
  cursor.tokens = json.at("tokens").integer(0, kMaxCount);
  cursor.mixture_start = json.at("mixture_start").integer(0, kMaxCount);
  const std::vector<JsonView> sources = json.at("sources").elements();
  if (sources.size() > 1000) json.at("sources").refuse("at most 1000 sources");
  for (const JsonView& source : sources) cursor.sources.push_back(source_from(source));
  return cursor;
}

}  // namespace birkhoff
