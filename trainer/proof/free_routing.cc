#include "trainer/proof/free_routing.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

constexpr double kInfinite = std::numeric_limits<double>::infinity();

// The difference between the last value kept and the first one dropped, where the largest are kept.
double gap_after(std::vector<double> values, int64_t kept) {
  const auto count = static_cast<size_t>(kept);
  if (count == 0 || count >= values.size()) return kInfinite;
  std::sort(values.begin(), values.end(), std::greater<>());
  return values[count - 1] - values[count];
}

// The score of a group of experts: the sum of its two best.
double group_score(std::span<const double> scores) {
  std::vector<double> sorted(scores.begin(), scores.end());
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  return sorted[0] + (sorted.size() > 1 ? sorted[1] : 0);
}

std::string name_of_choice(size_t microbatch, const std::string& layer, const char* kind) {
  return concat("microbatch ", microbatch, " ", layer, " ", kind);
}

// What a rank chose for its tokens, without padding.
HeldPart part_of(std::string name, const Shape& shape, const std::vector<int32_t>& choice,
                 const RoutingTape::Share& share) {
  const int64_t K = shape[1], padded = share.split.padded(share.length), all = shape[0] * share.split.size;
  const TokenRun own = share.split.own(all);
  HeldPart part{std::move(name), {{all / padded * share.length, K}, {}}, {}};
  for (int64_t t = 0; t < own.count; ++t) {
    const int64_t sequence = (own.begin + t) / padded, place = (own.begin + t) % padded;
    if (place >= share.length) continue;
    part.slice.boxes.push_back({{sequence * share.length + place, 0}, {1, K}});
    for (int64_t k = 0; k < K; ++k) part.values.push_back(choice[static_cast<size_t>(t * K + k)]);
  }
  return part;
}

// Compares one kind of choice of one layer in one microbatch.
struct Choices {
  std::span<const int32_t> one;
  std::span<const double> layout;
  size_t each;  // experts of a token

  // Whether the token has other experts in the two. Their order does not matter.
  bool differ(size_t token) const {
    std::vector<int32_t> a, b;
    for (size_t k = token * each; k < (token + 1) * each; ++k) {
      a.push_back(one[k]);
      b.push_back(static_cast<int32_t>(layout[k]));
    }
    std::sort(a.begin(), a.end());
    std::sort(b.begin(), b.end());
    return a != b;
  }
};

std::vector<double> scores_of(const RoutingRecord::Choice& choice, size_t token, bool biased) {
  const size_t experts = choice.bias.size();
  const auto first = choice.scores.begin() + static_cast<std::ptrdiff_t>(token * experts);
  std::vector<double> scores(first, first + static_cast<std::ptrdiff_t>(experts));
  for (size_t e = 0; biased && e < experts; ++e) scores[e] += choice.bias[e];
  return scores;
}

// Compares the layers of one microbatch, in the order of the forward.
class Microbatch {
 public:
  Microbatch(size_t number, const Batch& batch, const MoeOptions& options, RoutingVerdict& verdict)
      : number_(number), batch_(batch), options_(options), verdict_(verdict), disagrees_(batch.tokens.size(), false) {}

  void compare(const std::string& layer, const RoutingRecord::Choice& one, const Whole& layout) {
    const auto each = static_cast<size_t>(one.shape[1]);
    const GapArgs experts{options_.top_k, options_.num_groups, options_.top_groups}, balance{options_.top_k};
    compare_kind(layer, {one.experts, found(layout, layer, "experts"), each},
                 [&](size_t token) { return deciding_gap(scores_of(one, token, true), experts); });
    if (one.balance.empty()) return;
    compare_kind(layer, {one.balance, found(layout, layer, "balance"), each},
                 [&](size_t token) { return deciding_gap(scores_of(one, token, false), balance); });
  }
  int64_t disagreeing() const { return std::count(disagrees_.begin(), disagrees_.end(), true); }

 private:
  std::span<const double> found(const Whole& layout, const std::string& layer, const char* kind) const {
    return layout.tensors.at(name_of_choice(number_, layer, kind)).values;
  }

  void compare_kind(const std::string& layer, const Choices& choices, const std::function<double(size_t)>& gap_of) {
    BK_ASSERT(choices.one.size() == choices.layout.size(), layer, " chose for another number of tokens");
    for (size_t token = 0; token < disagrees_.size(); ++token) {
      if (!choices.differ(token)) continue;
      disagrees_[token] = true;
      const auto [first, added] = first_layer_.try_emplace(batch_.document_start[token], layer);
      if (first->second != layer) continue;
      const double gap = gap_of(token);
      if (gap < kMostGap) continue;
      verdict_.failures.push_back(concat(layer, ", token ", token, " of microbatch ", number_,
                                         ": other experts than one rank chose, where scores differ by ", gap,
                                         "; rounding explains less than ", kMostGap));
    }
  }

  size_t number_;
  const Batch& batch_;
  const MoeOptions& options_;
  RoutingVerdict& verdict_;
  std::vector<bool> disagrees_;
  std::map<int32_t, std::string> first_layer_;  // by the start of a document: its first disagreeing layer
};

}  // namespace

double deciding_gap(std::span<const double> scores, const GapArgs& a) {
  const size_t size = scores.size() / static_cast<size_t>(a.num_groups);
  std::vector<double> groups;
  for (size_t g = 0; g < static_cast<size_t>(a.num_groups); ++g)
    groups.push_back(group_score(scores.subspan(g * size, size)));
  const double of_groups = gap_after(groups, a.num_groups_kept);
  std::vector<size_t> order(groups.size());
  for (size_t g = 0; g < order.size(); ++g) order[g] = g;
  // Ties go to the smaller index, as in the router.
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return groups[a] > groups[b]; });
  std::vector<double> candidates;
  for (size_t i = 0; i < static_cast<size_t>(a.num_groups_kept); ++i) {
    const auto group = scores.subspan(order[i] * size, size);
    candidates.insert(candidates.end(), group.begin(), group.end());
  }
  return std::min(of_groups, gap_after(candidates, a.num_chosen));
}

std::vector<HeldPart> choices_of(const RoutingRecord& record, const RoutingTape::Share& share) {
  std::vector<HeldPart> parts;
  for (const auto& [place, choice] : record.choices) {
    const size_t microbatch = share.first + place.first;
    const auto name = [&, layer = place.second](const char* kind) { return name_of_choice(microbatch, layer, kind); };
    parts.push_back(part_of(name("experts"), choice.shape, choice.experts, share));
    if (choice.balance.empty()) continue;
    parts.push_back(part_of(name("balance"), choice.shape, choice.balance, share));
  }
  return parts;
}

RoutingVerdict judge_routing(const RoutingRecord& one, const Whole& layout, const std::vector<Batch>& microbatches,
                             const MoeOptions& options) {
  RoutingVerdict verdict{0, 0, layout.faults};
  for (size_t m = 0; m < microbatches.size(); ++m) {
    Microbatch compared(m, microbatches[m], options, verdict);
    for (const std::string& layer : one.layers) compared.compare(layer, one.choices.at({m, layer}), layout);
    verdict.tokens += microbatches[m].num_tokens();
    verdict.disagreeing += compared.disagreeing();
  }
  const double most = kMostDisagreeing * static_cast<double>(verdict.tokens);
  if (static_cast<double>(verdict.disagreeing) > most) {
    verdict.failures.push_back(concat("routing: ", verdict.disagreeing, " of ", verdict.tokens,
                                      " tokens have other experts than on one rank; at most ", kMostDisagreeing * 100,
                                      " % may"));
  }
  return verdict;
}

}  // namespace birkhoff
