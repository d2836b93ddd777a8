#include "trainer/proof/layouts.h"

#include <algorithm>
#include <optional>
#include <set>
#include <sstream>
#include <tuple>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

constexpr int kMostDegree = 4096;  // of a layout that is named
constexpr int kMostTried = 8;      // of an axis in a pair or a triple

// The least number of replicas that lets the experts and the tables fold over a stage.
int64_t least_dp(MeshDegrees d) {
  d.dp = 0;
  return with_least_dp(d).dp;
}

int64_t ranks_of(const MeshDegrees& d) { return int64_t{d.tp} * d.cp * d.dp * d.pp; }

std::vector<int> degrees_of(const MeshDegrees& d) {
  std::vector<int> degrees{static_cast<int>(d.dispatch)};
  for (const Axis axis : kLayoutAxes) degrees.push_back(degree_of(d, axis));
  return degrees;
}

bool is_among(Axis axis, const std::vector<Axis>& axes) {
  return std::find(axes.begin(), axes.end(), axis) != axes.end();
}

std::string join(const std::vector<Axis>& axes) {
  std::string text;
  for (const Axis axis : axes) text += concat(text.empty() ? "" : ", ", name_of(axis));
  return text;
}

std::string too_many(int64_t ranks, const LayoutRules& rules) {
  return concat("needs ", ranks, " ranks, but ", rules.most_ranks_by, " ", rules.most_ranks);
}

// Why a layout cannot be, whatever the number of ranks; empty if it can. `d` may leave its dp open.
std::string refusal_of_degrees(const MeshDegrees& d, const LayoutRules& rules) {
  for (const Axis axis : kLayoutAxes) {
    if (degree_of(d, axis) > 1 && !is_among(axis, rules.axes)) {
      return concat("only ", join(rules.axes), rules.axes.size() == 1 ? " is" : " are",
                    " available yet; leave the other axes out");
    }
  }
  // A layout has at least as many ranks as an axis. Larger degrees could overflow a product.
  for (const Axis axis : kLayoutAxes) {
    if (degree_of(d, axis) > kMostDegree) return too_many(degree_of(d, axis), rules);
  }
  const MeshDegrees whole = with_least_dp(d);
  const std::string of_config = rules.refusal(whole);
  if (whole.dp % least_dp(d) == 0) return of_config;
  return concat("experts and tables fold over the ranks of a stage, so dp must be a multiple of ", least_dp(d),
                of_config.empty() ? "" : "; ", of_config);
}

std::string refusal_of_layout(const MeshDegrees& d, const LayoutRules& rules) {
  if (std::string reason = refusal_of_degrees(d, rules); !reason.empty()) return reason;
  const int64_t ranks = ranks_of(with_least_dp(d));
  return ranks > rules.most_ranks ? too_many(ranks, rules) : "";
}

// Collects the layouts of all_layouts().
class Collector {
 public:
  explicit Collector(const LayoutRules& rules) : rules_(rules) {
    for (const Axis axis : kLayoutAxes) {
      if (is_among(axis, rules.axes)) axes_.push_back(axis);
    }
  }

  LayoutChoice collect() {
    for (const Axis axis : axes_) take_single(axis);
    for (size_t a = 0; a < axes_.size(); ++a) {
      for (size_t b = a + 1; b < axes_.size(); ++b) take_least({axes_[a], axes_[b]});
    }
    for (size_t a = 0; a < axes_.size(); ++a) {
      for (size_t b = a + 1; b < axes_.size(); ++b) {
        for (size_t c = b + 1; c < axes_.size(); ++c) take_least({axes_[a], axes_[b], axes_[c]});
      }
    }
    take_grouped();
    for (const Axis axis : kLayoutAxes) {
      if (is_among(axis, axes_)) continue;
      choice_.left_out.push_back({std::string(name_of(axis)), "this axis is not available yet"});
    }
    return std::move(choice_);
  }

 private:
  void take_single(Axis axis) {
    for (const int degree : {2, 4}) {
      MeshDegrees d;
      degree_of(d, axis) = degree;
      d = with_least_dp(d);
      if (!is_known(d)) decide(d, refusal_of_degrees(d, rules_));
    }
  }

  // The layouts that divide experts, once more with the grouped dispatch.
  void take_grouped() {
    for (const ProofLayout& plain : std::vector<ProofLayout>(choice_.layouts)) {
      MeshDegrees d = plain.degrees;
      if (d.ep == 1) continue;
      d.dispatch = Dispatch::grouped;
      decide(d, refusal_of_degrees(d, rules_));
    }
  }

  // Takes the first of the combinations that is allowed and not known yet.
  void take_least(const std::vector<Axis>& axes) {
    std::optional<std::pair<MeshDegrees, std::string>> first;
    for (const MeshDegrees& d : combinations(axes)) {
      if (is_known(d)) continue;
      std::string reason = refusal_of_degrees(d, rules_);
      if (reason.empty()) return decide(d, reason);
      if (!first) first = {d, std::move(reason)};
    }
    if (first) decide(first->first, first->second);
  }

  // `refusal` does not consider the number of ranks.
  void decide(const MeshDegrees& d, std::string refusal) {
    known_.insert(degrees_of(d));
    if (refusal.empty() && ranks_of(d) > rules_.most_ranks) refusal = too_many(ranks_of(d), rules_);
    if (refusal.empty()) {
      choice_.layouts.push_back({d, static_cast<int>(ranks_of(d))});
    } else {
      choice_.left_out.push_back({layout_name(d), refusal});
    }
  }

  // All degrees of these axes above 1 that fold. Those with the least degrees besides dp come first, so that ep2 with
  // more replicas is preferred to a higher degree of ep.
  std::vector<MeshDegrees> combinations(const std::vector<Axis>& axes) const {
    std::vector<MeshDegrees> found = {MeshDegrees{}};
    for (const Axis axis : axes) {
      std::vector<MeshDegrees> longer;
      for (const MeshDegrees& shorter : found) {
        for (int degree = 2; degree <= kMostTried; ++degree) {
          longer.push_back(shorter);
          degree_of(longer.back(), axis) = degree;
        }
      }
      found = std::move(longer);
    }
    for (MeshDegrees& d : found) d = with_least_dp(d);
    std::erase_if(found, [](const MeshDegrees& d) { return d.dp % least_dp(d) != 0; });
    std::sort(found.begin(), found.end(), [](const MeshDegrees& a, const MeshDegrees& b) {
      const auto key = [](const MeshDegrees& d) {
        return std::tuple(d.tp * d.cp * d.pp * d.etp * d.ep * d.engram, ranks_of(d), degrees_of(d));
      };
      return key(a) < key(b);
    });
    return found;
  }

  // Equal degrees make equal groups, and unequal ones make unequal groups, since each axis has a group of its own.
  bool is_known(const MeshDegrees& d) const { return known_.contains(degrees_of(d)); }

  const LayoutRules& rules_;
  std::vector<Axis> axes_;
  LayoutChoice choice_;
  std::set<std::vector<int>> known_;  // degrees of what was taken or left out
};

}  // namespace

ProofLayout proof_layout(const MeshDegrees& degrees, const LayoutRules& rules) {
  const std::string reason = refusal_of_layout(degrees, rules);
  BK_CHECK(reason.empty(), "layout ", layout_name(degrees), ": ", reason);
  const MeshDegrees d = with_least_dp(degrees);
  return {d, static_cast<int>(ranks_of(d))};
}
ProofLayout proof_layout(const MeshDegrees& degrees, int most_ranks) {
  LayoutRules rules;
  rules.most_ranks = most_ranks;
  return proof_layout(degrees, rules);
}

LayoutChoice all_layouts(const LayoutRules& rules) { return Collector(rules).collect(); }

LayoutChoice choose_layouts(const std::string& list, const LayoutRules& rules, Dispatch dispatch) {
  if (list == "all") {
    LayoutChoice all = all_layouts(rules);
    BK_CHECK(!all.layouts.empty(), "no layout is left of all: ", rules.most_ranks_by, " ", rules.most_ranks,
             "; give at least 2");
    return all;
  }
  LayoutChoice choice;
  std::string problems;
  std::istringstream names(list);
  for (std::string name; std::getline(names, name, ',');) {
    try {
      MeshDegrees degrees = parse_layout(name);
      if (degrees.ep > 1 && degrees.dispatch == Dispatch::plain) degrees.dispatch = dispatch;
      const ProofLayout layout = proof_layout(degrees, rules);
      const auto same = [&](const ProofLayout& other) { return other.name() == layout.name(); };
      if (std::none_of(choice.layouts.begin(), choice.layouts.end(), same)) choice.layouts.push_back(layout);
    } catch (const UserError& e) {
      problems += concat(problems.empty() ? "" : "\n", e.what());
    }
  }
  BK_CHECK(problems.empty(), problems);
  BK_CHECK(!choice.layouts.empty(), "--layouts names no layout; give some, such as dp2,dp4, or all");
  return choice;
}

}  // namespace birkhoff
