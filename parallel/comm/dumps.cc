#include "parallel/comm/dumps.h"

#include <chrono>
#include <filesystem>
#include <fstream>

#include <nlohmann/json.hpp>

#include "kernels/core/error.h"
#include "kernels/core/process_tag.h"

namespace birkhoff {
namespace {

// Dumps that belong to one expiry are written within this time of each other.
constexpr auto kSameExpiry = std::chrono::seconds(30);

std::optional<std::filesystem::file_time_type> changed_at(const std::string& path) {
  std::error_code missing;
  const auto time = std::filesystem::last_write_time(path, missing);
  if (missing) return std::nullopt;
  return time;
}

// Whether `other` has a dump that belongs to the expiry of which `rank` wrote its own.
bool dumped_with(const std::string& folder, int rank, int other) {
  const auto own = changed_at(dump_path(folder, rank)), theirs = changed_at(dump_path(folder, other));
  return own && theirs && *own - *theirs < kSameExpiry;
}

nlohmann::json to_json(const std::vector<Wait>& waits) {
  auto list = nlohmann::json::array();
  for (const Wait& wait : waits) list.push_back({{"text", wait.text}, {"missing", wait.missing}});
  return list;
}

std::string last_of(const nlohmann::json& operations) {
  if (operations.empty()) return "";
  const nlohmann::json& o = operations.back();
  const auto text = [&](const char* name) { return o.at(name).get<std::string>(); };
  return concat(text("operation"), " of group ", text("group"), " (", text("where"), "), ", text("state"));
}

std::optional<RankDump> parse(const nlohmann::json& json, int size) {
  try {
    if (json.at("size") != size) return std::nullopt;
    RankDump dump{json.at("waiting_for"), {}, last_of(json.at("operations"))};
    for (const auto& wait : json.at("waits")) dump.waits.push_back({wait.at("text"), wait.at("missing")});
    return dump;
  } catch (const nlohmann::json::exception&) {
    return std::nullopt;  // not written to its end yet
  }
}

}  // namespace

std::string dump_path(const std::string& folder, int rank) { return concat(folder, "/watchdog_rank_", rank, ".json"); }

bool write_dump(const ExpiredRank& of, const Waiting& waiting, const std::string& why) {
  const auto rank = static_cast<size_t>(of.world.rank());
  const nlohmann::json dump{{"rank", rank},
                            {"size", of.world.size()},
                            {"host", host_name()},
                            {"layout", of.names.layout},
                            {"coordinates", rank < of.names.coordinates.size() ? of.names.coordinates[rank] : ""},
                            {"why", why},
                            {"waiting_for", waiting.text},
                            {"waits", to_json(waiting.waits)},
                            {"operations", nlohmann::json::parse(of.trace.to_json())}};
  std::error_code ignored;  // opening the file reports the failure
  std::filesystem::create_directories(of.folder, ignored);
  return static_cast<bool>(std::ofstream(dump_path(of.folder, of.world.rank())) << dump.dump(1) << std::endl);
}

bool lower_rank_dumped(const std::string& folder, int rank) {
  for (int lower = 0; lower < rank; ++lower) {
    if (dumped_with(folder, rank, lower)) return true;
  }
  return false;
}

RankDumps read_dumps(const std::string& folder, int rank, int size) {
  RankDumps dumps(static_cast<size_t>(size));
  for (int r = 0; r < size; ++r) {
    if (!dumped_with(folder, rank, r)) continue;
    std::ifstream file(dump_path(folder, r));
    dumps[static_cast<size_t>(r)] = parse(nlohmann::json::parse(file, nullptr, /*allow_exceptions=*/false), size);
  }
  return dumps;
}

}  // namespace birkhoff
