#include <nlohmann/json.hpp>

#include "trainer/proof/report.h"

namespace birkhoff {
namespace {

using Json = nlohmann::ordered_json;

Json json_of(const LayoutVerdict& v) {
  Json worst = Json::array();
  for (const auto& [family, w] : v.verdict.worst) {
    worst.push_back({{"family", family}, {"error", w.error}, {"bound", w.bound}, {"where", w.where}});
  }
  return {{"name", v.layout.name()},
          {"ranks", v.layout.ranks},
          {"passed", v.verdict.failures.empty()},
          {"not_counted", v.not_counted},
          {"seconds", v.seconds},
          {"exact", v.verdict.exact},
          {"worst", worst},
          {"judged_against_family", v.verdict.small},
          {"notes", v.verdict.notes},
          {"failures", v.verdict.failures}};
}

}  // namespace

std::string to_json(const ProofReport& r) {
  Json chosen = Json::array(), left_out = Json::array(), layouts = Json::array();
  for (const ProofLayout& l : r.choice.layouts) chosen.push_back({{"name", l.name()}, {"ranks", l.ranks}});
  for (const LayoutChoice::LeftOut& l : r.choice.left_out) left_out.push_back({{"name", l.name}, {"reason", l.reason}});
  for (const LayoutVerdict& v : r.verdicts) layouts.push_back(json_of(v));
  const Json inputs = {{"config", r.config},   {"set", r.overrides}, {"layouts", r.layouts},
                       {"backend", r.backend}, {"device", r.device}, {"recipe", r.recipe},
                       {"routing", r.routing}, {"steps", r.steps},   {"ranks", r.ranks}};
  const Json all = {{"inputs", inputs},
                    {"changes", r.changes},
                    {"chosen", chosen},
                    {"left_out", left_out},
                    {"zero_by_structure", r.zero_by_structure},
                    {"vanished", r.vanished},
                    {"layouts", layouts},
                    {"complete", r.complete},
                    {"passed", r.complete && !r.verdicts.empty() && r.passed()}};
  return all.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

}  // namespace birkhoff
