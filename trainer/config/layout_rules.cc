#include "trainer/config/layout_rules.h"

#include <algorithm>
#include <numeric>
#include <tuple>

#include "kernels/core/error.h"
#include "kernels/gemm/fp8_gemm.h"

namespace birkhoff {
namespace {

bool contains(Axes axes, Axis axis) { return std::find(axes.begin(), axes.end(), axis) != axes.end(); }

// Finds the problems of one layout.
class Rules {
 public:
  Rules(const Config& config, const MeshDegrees& degrees, Axes available)
      : c_(config), d_(degrees), available_(available) {}

  std::vector<LayoutProblem> run(std::optional<int64_t> ranks) {
    for (const Axis axis : kLayoutAxes) {
      if (degree(axis) > 1 && !contains(available_, axis))
        problem(axis, "this axis is not available yet; leave it out");
    }
    tensor_parallel();
    expert_parallel();
    if (ranks) world(*ranks);
    return std::move(problems_);
  }

 private:
  int64_t degree(Axis axis) const { return degree_of(d_, axis); }
  void problem(Axis axis, std::string what) { problems_.push_back({axis, degree_of(d_, axis), std::move(what)}); }
  bool divides(Axis axis, int64_t count, const std::string& what) {
    if (count % degree(axis) == 0) return true;
    problem(axis, concat("does not divide ", what, " ", count));
    return false;
  }

  // Divides a dim of a matrix. The blocks of fp8_block would lie elsewhere if a rank's part began inside a block.
  void cut(Axis axis, int64_t extent, const std::string& what) {
    const int64_t part = extent / degree(axis);
    if (degree(axis) == 1 || c_.precision.recipe != Recipe::fp8_block || part % cpu::kFp8Block == 0) return;
    problem(axis, concat("leaves ", part, " of ", what, " ", extent, "; precision.recipe fp8_block needs multiples of ",
                         cpu::kFp8Block));
  }
  void divide(Axis axis, int64_t extent, const std::string& what) {
    if (divides(axis, extent, what)) cut(axis, extent, what);
  }

  void tensor_parallel() {
    const int64_t vocabulary = c_.model.vocab_size;  // 0: not known yet; a tokenizer has at least 256 tokens
    if (vocabulary > 0 && degree(Axis::tp) > vocabulary)
      problem(Axis::tp, concat("is more than model.vocab_size ", vocabulary));
    const AttentionOptions& a = c_.model.attention;
    if (divides(Axis::tp, a.num_heads, "model.attention.num_heads")) cut_heads();
    if (a.type == AttentionType::gqa && divides(Axis::tp, a.num_kv_heads, "model.attention.num_kv_heads"))
      cut(Axis::tp, a.num_kv_heads * a.head_dim, "model.attention.num_kv_heads x head_dim");
    if (!c_.model.moe.at(0)) divide(Axis::tp, c_.model.ffn.size, "model.ffn.size");
    const MoeOptions& e = c_.model.moe;
    if (c_.model.has_experts() && e.num_shared > 0)
      divide(Axis::tp, e.num_shared * e.expert_size, "model.moe.num_shared x expert_size");
  }

  // The projections before and after the attention of the heads.
  void cut_heads() {
    const AttentionOptions& a = c_.model.attention;
    const std::string heads = "model.attention.num_heads x ";
    if (a.type != AttentionType::mla) return cut(Axis::tp, a.num_heads * a.head_dim, heads + "head_dim");
    cut(Axis::tp, a.num_heads * (a.qk_nope_head_dim + a.qk_rope_head_dim),
        heads + "(qk_nope_head_dim + qk_rope_head_dim)");
    cut(Axis::tp, a.num_heads * (a.qk_nope_head_dim + a.v_head_dim), heads + "(qk_nope_head_dim + v_head_dim)");
    cut(Axis::tp, a.num_heads * a.v_head_dim, heads + "v_head_dim");
  }

  void expert_parallel() {
    const MoeOptions& e = c_.model.moe;
    if (!c_.model.has_experts()) {
      for (const Axis axis : {Axis::ep, Axis::etp}) {
        if (degree(axis) > 1) problem(axis, "divides experts, but the model has none; leave it out");
      }
      return;
    }
    divides(Axis::ep, e.num_experts, "model.moe.num_experts");
    if (d_.dispatch == Dispatch::grouped && d_.ep % e.num_groups != 0 && e.num_groups % d_.ep != 0)
      problem(Axis::ep, concat("with the grouped dispatch neither divides model.moe.num_groups ", e.num_groups,
                               " nor is a multiple of it"));
    divide(Axis::etp, e.expert_size, "model.moe.expert_size");
  }

  // The axes besides dp that multiply to the number of ranks, such as "tp 2 x pp 3".
  std::string shared_by() const {
    std::string text;
    for (const Axis axis : {Axis::tp, Axis::cp, Axis::pp}) {
      if (degree(axis) > 1) text += concat(text.empty() ? "" : " x ", name_of(axis), " ", degree(axis));
    }
    return text;
  }

  void world(int64_t ranks) {
    const size_t before = problems_.size();
    for (const Axis axis : {Axis::tp, Axis::cp, Axis::pp}) {
      if (ranks % degree(axis) != 0) problem(axis, concat("does not divide the ", ranks, " ranks"));
    }
    if (problems_.size() > before) return;
    const int64_t others = degree(Axis::tp) * degree(Axis::cp) * degree(Axis::pp);
    if (ranks % others != 0) {
      const Axis axis = degree(Axis::tp) > 1 ? Axis::tp : Axis::cp;
      return problem(axis,
                     concat("is too many: ", shared_by(), " = ", others, " does not divide the ", ranks, " ranks"));
    }
    if (d_.dp > 0 && d_.dp != ranks / others) {
      const std::string left = others > 1 ? concat(", of which ", shared_by(), " leaves ", ranks / others) : "";
      return problem(Axis::dp, concat("does not fit the ", ranks, ranks == 1 ? " rank" : " ranks", left,
                                      "; start another number of ranks, or leave dp out (parallel.dp 0)"));
    }
    d_.dp = static_cast<int>(ranks / others);
    stage(ranks / d_.pp);
    batch();
  }

  void stage(int64_t ranks) {
    if (ranks % (degree(Axis::etp) * degree(Axis::ep)) != 0) {
      const bool both = d_.etp > 1 && d_.ep > 1;
      problem(d_.ep > 1 ? Axis::ep : Axis::etp,
              concat(both ? concat("x etp ", d_.etp, " ") : "", "does not divide the ", ranks, " ranks of a stage"));
    }
    if (ranks % d_.engram != 0) problem(Axis::engram, concat("does not divide the ", ranks, " ranks of a stage"));
  }

  // A step is one or more whole microbatches on each replica, at every batch size of the ramp.
  void batch() {
    const BatchConfig& b = c_.batch;
    const int64_t share = b.micro_batch_size * d_.dp;
    const auto require = [&](const char* name, int64_t size) {
      if (size % share == 0) return;
      problem(Axis::dp,
              concat("x batch.micro_batch_size ", b.micro_batch_size, " does not divide batch.", name, " ", size));
    };
    require("global_batch_size", b.global_batch_size);
    require("ramp.initial_size", b.ramp.initial_size);
    require("ramp.increment", b.ramp.increment);
  }

  const Config& c_;
  MeshDegrees d_;
  Axes available_;
  std::vector<LayoutProblem> problems_;
};

// Degrees of one axis that divide the ranks and that the model allows. The axis is available.
std::vector<int> degrees_along(const Config& config, Axis axis, int64_t ranks) {
  std::vector<int> degrees;
  for (int64_t degree = 1; degree <= ranks; ++degree) {
    if (ranks % degree != 0) continue;
    MeshDegrees alone;
    degree_of(alone, axis) = static_cast<int>(degree);
    if (problems_of_layout(config, alone, std::nullopt, Axes(&axis, 1)).empty())
      degrees.push_back(static_cast<int>(degree));
  }
  return degrees;
}

// How far a layout is from the one that was wanted, by the order of nearest_layouts(); layouts that are equally far are
// ordered by their degrees.
using Distance = std::tuple<int, int, std::vector<int>>;
Distance distance_of(const MeshDegrees& layout, const MeshDegrees& wanted) {
  int changed = layout.dispatch != wanted.dispatch, doublings = 0;
  std::vector<int> degrees;
  for (const Axis axis : kLayoutAxes) {
    const int64_t have = degree_of(layout, axis), want = degree_of(wanted, axis);
    degrees.push_back(static_cast<int>(have));
    if (want == 0 || have == want) continue;  // an open dp takes any value
    ++changed;
    for (int64_t low = std::min(have, want); low < std::max(have, want); low *= 2) ++doublings;
  }
  return {changed, doublings, std::move(degrees)};
}

std::string message(const MeshDegrees& degrees, int64_t ranks, const std::vector<LayoutProblem>& problems,
                    const std::vector<MeshDegrees>& nearest) {
  std::vector<std::string> labels;
  size_t widest = 0;
  for (const LayoutProblem& p : problems) {
    labels.push_back(concat(name_of(p.axis), ' ', p.degree));
    widest = std::max(widest, labels.back().size());
  }
  MeshDegrees shown = degrees;
  const int64_t others = int64_t{1} * degrees.tp * degrees.cp * degrees.pp;
  if (degrees.dp == 0 && ranks % others == 0) shown.dp = static_cast<int>(ranks / others);
  std::string text = concat("layout ", layout_name(shown), " on ", ranks, ranks == 1 ? " rank:" : " ranks:");
  for (size_t i = 0; i < problems.size(); ++i)
    text += concat("\n  ", labels[i], std::string(widest - labels[i].size() + 3, ' '), problems[i].what);
  std::string names;
  for (const MeshDegrees& layout : nearest) names += concat(names.empty() ? "" : ", ", layout_name(layout));
  return names.empty() ? concat(text, "\nno layout works on so many ranks; change their number or the config")
                       : concat(text, "\nnearest that work: ", names);
}

}  // namespace

MeshDegrees degrees_of(const ParallelConfig& c) {
  const auto degree = [](int64_t value) { return static_cast<int>(value); };
  return {.tp = degree(c.tp),
          .cp = degree(c.cp),
          .pp = degree(c.pp),
          .etp = degree(c.etp),
          .ep = degree(c.ep),
          .engram = degree(c.engram),
          .dp = degree(c.dp),
          .dispatch = c.dispatch};
}

std::vector<std::string> given_degrees(const ParallelConfig& config) {
  std::vector<std::string> given;
  const MeshDegrees degrees = degrees_of(config);
  for (const Axis axis : kLayoutAxes) {
    const int otherwise = axis == Axis::dp ? 0 : 1;
    if (degree_of(degrees, axis) != otherwise) given.push_back(concat("parallel.", name_of(axis)));
  }
  return given;
}

MeshDegrees with_ep_groups(const Config& config, MeshDegrees layout) {
  const bool grouped = layout.dispatch == Dispatch::grouped;
  layout.ep_groups = grouped ? static_cast<int>(std::min<int64_t>(layout.ep, config.model.moe.num_groups)) : 1;
  return layout;
}

std::vector<LayoutProblem> problems_of_layout(const Config& config, const MeshDegrees& degrees,
                                              std::optional<int64_t> ranks, Axes available) {
  return Rules(config, degrees, available).run(ranks);
}

std::vector<MeshDegrees> layouts_of(const Config& config, int64_t ranks, Axes available) {
  std::vector<MeshDegrees> layouts{MeshDegrees{}};
  for (const Axis axis : kLayoutAxes) {
    if (axis == Axis::dp || !contains(available, axis)) continue;
    std::vector<MeshDegrees> longer;
    for (const MeshDegrees& layout : layouts) {
      for (const int degree : degrees_along(config, axis, ranks)) {
        longer.push_back(layout);
        degree_of(longer.back(), axis) = degree;
      }
    }
    layouts = std::move(longer);
  }
  std::vector<MeshDegrees> fitting;
  for (MeshDegrees layout : layouts) {
    if (layout.ep > 1) layout.dispatch = config.parallel.dispatch;
    if (!problems_of_layout(config, layout, ranks, available).empty()) continue;
    layout.dp = static_cast<int>(ranks / (int64_t{1} * layout.tp * layout.cp * layout.pp));
    fitting.push_back(layout);
  }
  return fitting;
}

std::vector<MeshDegrees> nearest_layouts(const Config& config, const MeshDegrees& wanted, int64_t ranks,
                                         Axes available) {
  constexpr size_t kMost = 3;
  std::vector<MeshDegrees> layouts = layouts_of(config, ranks, available);
  for (const MeshDegrees& layout : std::vector<MeshDegrees>(layouts)) {
    for (const Dispatch dispatch : {Dispatch::plain, Dispatch::grouped}) {
      layouts.push_back(layout);
      layouts.back().dispatch = dispatch;
      const bool asked = dispatch == Dispatch::plain || (layout.ep > 1 && wanted.dispatch == dispatch);
      const bool known = dispatch == layout.dispatch;
      if (!asked || known || !problems_of_layout(config, layouts.back(), ranks, available).empty()) layouts.pop_back();
    }
  }
  std::sort(layouts.begin(), layouts.end(), [&](const MeshDegrees& a, const MeshDegrees& b) {
    return distance_of(a, wanted) < distance_of(b, wanted);
  });
  layouts.resize(std::min(layouts.size(), kMost));
  return layouts;
}

MeshDegrees check_layout(const Config& config, const MeshDegrees& degrees, int64_t ranks, Axes available) {
  const std::vector<LayoutProblem> problems = problems_of_layout(config, degrees, ranks, available);
  BK_CHECK(problems.empty(), message(degrees, ranks, problems, nearest_layouts(config, degrees, ranks, available)));
  MeshDegrees layout = degrees;
  layout.dp = static_cast<int>(ranks / (int64_t{1} * layout.tp * layout.cp * layout.pp));
  return layout;
}

int64_t check_world(const Config& config, int64_t world_size) {
  return check_layout(config, degrees_of(config.parallel), world_size).dp;
}

}  // namespace birkhoff
