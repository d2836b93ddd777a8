#include "trainer/proof/judge.h"

#include <algorithm>
#include <cmath>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

constexpr double kBalanced = 1e-5;
// Times the bound of a gradient, for the coefficients of hyper-connections. In f32 one rank is off by up to 0.54 of the
// bound there, depending on the compiler, and a bound must be at least twice that distance.
constexpr double kMixing = 2;
constexpr size_t kFew = 32;  // elements: no more than the base of a site has

std::string family_of(const Parameter& p) {
  for (const char* latent : {"attention.q_a", "attention.kv_a", "attention.q_norm", "attention.kv_norm"}) {
    if (p.name.find(latent) != std::string::npos) return "attention latents";
  }
  if (p.role == Role::bias) return "biases";
  if (p.part == Part::attention && p.role == Role::gain) return "norms";
  return std::string(name_of(p.part));
}

std::vector<RowRange> ranges_of(const Parameter& p, const DecoderOptions& o) {
  const int64_t rows = p.shape[0], S = o.residual.streams;
  if (p.name.ends_with("attention.kv_a.weight") && o.attention.kv_lora_rank < rows) {
    return {{"latent", 0, o.attention.kv_lora_rank}, {"rotated", o.attention.kv_lora_rank, rows}};
  }
  const bool of_site = p.name.ends_with(".fn") || p.name.ends_with(".base");
  if (of_site && rows == 2 * S + S * S) return {{"pre", 0, S}, {"post", S, 2 * S}, {"comb", 2 * S, rows}};
  std::vector<RowRange> ranges;
  const Blocks& blocks = p.division.blocks;
  if (blocks.dim == 0 && blocks.groups == 1 && blocks.sizes.size() > 1) {
    int64_t begin = 0;
    for (const int64_t size : blocks.sizes) {
      if (size > 0) ranges.push_back({concat("block ", ranges.size()), begin, begin + size});
      begin += size;
    }
  }
  return ranges;
}

double norm(std::span<const double> x) {
  double sum = 0;
  for (const double v : x) sum += v * v;
  return std::sqrt(sum);
}
double distance(std::span<const double> a, std::span<const double> b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - b[i]) * (a[i] - b[i]);
  return std::sqrt(sum);
}
double root_of_count(std::span<const double> x) {
  return std::sqrt(std::max<double>(1, static_cast<double>(x.size())));
}

// A tensor or one of its ranges, of one rank and of the layout.
struct Piece {
  std::string family, where;
  std::span<const double> one, layout;
  double size() const { return norm(one) / root_of_count(one); }
};

std::vector<Piece> pieces_of(const Whole& one, const Whole& layout, const std::map<std::string, Judged>& families) {
  std::vector<Piece> pieces;
  for (const auto& [name, tensor] : one.tensors) {
    const Judged& judged = families.at(name);
    const std::span<const double> a(tensor.values), b(layout.tensors.at(name).values);
    pieces.push_back({judged.family, name, a, b});
    const auto width = static_cast<size_t>(judged.rows > 0 ? tensor.shape.count() / judged.rows : 0);
    for (const RowRange& range : judged.ranges) {
      const size_t begin = static_cast<size_t>(range.begin) * width,
                   count = static_cast<size_t>(range.end) * width - begin;
      pieces.push_back(
          {judged.family, name + " (" + range.name + ")", a.subspan(begin, count), b.subspan(begin, count)});
    }
  }
  return pieces;
}

std::map<std::string, double> largest_of_families(const std::vector<Piece>& pieces) {
  std::map<std::string, double> largest;
  for (const Piece& p : pieces) largest[p.family] = std::max(largest[p.family], p.size());
  return largest;
}

void judge_pieces(const std::vector<Piece>& pieces, const Bounds& bounds, Verdict& v) {
  const std::map<std::string, double> largest = largest_of_families(pieces);
  for (const Piece& p : pieces) {
    const double most = largest.at(p.family), least = bounds.small * most;
    const bool small = p.size() < least;
    if (small) v.small.push_back(p.where);
    const double at_least = p.one.size() <= kFew ? bounds.small_of_few * most : 0;
    const double scale = (small ? most : std::max(p.size(), at_least)) * root_of_count(p.one);
    const double factor = p.family == name_of(Part::hyper_connections) ? kMixing : 1;
    v.compare(p.family, p.where, distance(p.one, p.layout), factor * bounds.gradient * scale);
  }
}

double relative(double a, double b) { return std::abs(a - b) / std::max(std::abs(a), 1e-300); }

void judge_numbers(const StepReport& one, const StepReport& layout, const Bounds& bounds, Verdict& v) {
  v.compare("loss", "of the next token", relative(one.loss, layout.loss), bounds.loss);
  for (size_t d = 0; d < one.mtp_loss.size(); ++d) {
    v.compare("loss", concat("of MTP depth ", d + 1), relative(one.mtp_loss[d], layout.mtp_loss.at(d)), bounds.loss);
  }
  if (one.balance_loss != 0) {
    v.compare("loss", "of balance", relative(one.balance_loss, layout.balance_loss), bounds.loss);
  }
  v.compare("gradient norm", "over all tensors", relative(one.grad_norm, layout.grad_norm), bounds.loss);
  v.require(one.gain.has_value() == layout.gain.has_value(), "the gain is reported by one of the two only");
  if (!one.gain || !layout.gain) return;
  v.compare("gain", "forward", relative(one.gain->first, layout.gain->first), bounds.gain);
  v.compare("gain", "backward", relative(one.gain->second, layout.gain->second), bounds.gain);
}

void judge_counts(const StepResult& one, const StepResult& layout, Verdict& v) {
  for (const auto& [name, load] : one.loads) {
    v.require(load == layout.loads.at(name), name + ": the loads of the experts differ from those of one rank");
    v.exact["loads of experts"] += static_cast<int64_t>(load.size());
  }
  for (const auto& [name, tensor] : one.state.tensors) {
    if (!name.ends_with("gate.bias")) continue;
    v.require(tensor.values == layout.state.tensors.at(name).values,
              name + ": the router bias differs from one rank's");
    v.exact["router biases"] += tensor.shape.count();
  }
}

// Squares of the gradients of a family and of what they differ by.
struct Distance {
  double squares = 0, difference = 0;
  double relative() const { return squares > 0 ? std::sqrt(difference / squares) : 0; }
};

void add_distances(const Whole& to, const Whole& from, const std::map<std::string, Judged>& families,
                   std::map<std::string, Distance>& distances) {
  for (const auto& [name, tensor] : to.tensors) {
    Distance& d = distances[families.at(name).family];
    const double size = norm(tensor.values), off = distance(tensor.values, from.tensors.at(name).values);
    d.squares += size * size;
    d.difference += off * off;
  }
}

std::map<std::string, Distance> distances_of(const StepResult& reference, const StepResult& step,
                                             const std::map<std::string, Judged>& families) {
  std::map<std::string, Distance> distances;
  add_distances(reference.gradients, step.gradients, families, distances);
  add_distances(reference.row_gradients, step.row_gradients, families, distances);
  return distances;
}

}  // namespace

std::map<std::string, Judged> families_of(const Config& config, const Model& model) {
  std::map<std::string, Judged> families;
  for (const ParameterStore::Entry& e : model.parameters->entries()) {
    const Parameter& p = *e.parameter;
    families[p.name] = {family_of(p), ranges_of(p, config.model), p.shape[0]};
  }
  for (const auto& table : model.tables) families[table->name()] = {"Engram tables", {}, table->num_rows(), true};
  return families;
}

double relative_distance(std::span<const double> a, std::span<const double> b) {
  const double off = distance(a, b);
  return off == 0 ? 0 : off / norm(a);
}

std::vector<std::string> tables_of(const std::map<std::string, Judged>& families) {
  std::vector<std::string> tables;
  for (const auto& [name, judged] : families) {
    if (judged.of_table) tables.push_back(name);
  }
  return tables;
}

std::vector<std::string> vanishing_gradients(const StepResult& one, const std::map<std::string, Judged>& families,
                                             double least) {
  const std::vector<Piece> pieces = pieces_of(one.gradients, one.gradients, families);
  const std::map<std::string, double> largest = largest_of_families(pieces);
  std::vector<std::string> found;
  for (const Piece& p : pieces) {
    if (p.size() <= least * largest.at(p.family)) found.push_back(p.where);
  }
  return found;
}

void Verdict::compare(const std::string& family, const std::string& where, double error, double bound) {
  Worst& seen = worst[family];
  const Worst now{error, bound, where};
  if (seen.where.empty() || now.ratio() > seen.ratio()) seen = now;
  // Also false if the error is NaN.
  if (!(error <= bound)) failures.push_back(concat(family, ", ", where, ": off by ", error, ", at most ", bound));
}

void Verdict::add(const Verdict& other, const std::string& place) {
  const std::string before = place.empty() ? "" : place + ": ";
  for (const auto& [family, now] : other.worst) {
    Worst& seen = worst[family];
    if (seen.where.empty() || now.ratio() > seen.ratio()) seen = now;
  }
  for (const std::string& failure : other.failures) failures.push_back(before + failure);
  notes.insert(notes.end(), other.notes.begin(), other.notes.end());
  for (const auto& [kind, count] : other.exact) exact[kind] += count;
  for (const std::string& name : other.small) {
    if (std::find(small.begin(), small.end(), name) == small.end()) small.push_back(name);
  }
}

Verdict judge_batch(const StepResult& one, const StepResult& layout) {
  Verdict v;
  for (const Whole* whole : {&layout.gradients, &layout.row_gradients, &layout.state}) {
    for (const std::string& fault : whole->faults) v.failures.push_back(fault);
  }
  v.require(one.tokens == layout.tokens, concat("tokens: ", layout.tokens, ", one rank ", one.tokens));
  v.require(one.targets == layout.targets, "the numbers of targets differ from those of one rank");
  v.exact["tokens"] += static_cast<int64_t>(one.tokens);
  for (const double targets : one.targets) v.exact["targets"] += static_cast<int64_t>(targets);
  v.require(one.report.skip_reason == layout.report.skip_reason, "one of the two skipped the step");
  for (const auto& [name, rows] : one.touched_rows) {
    v.require(rows == layout.touched_rows.at(name), name + ": other rows were touched than by one rank");
    v.exact["touched rows"] += static_cast<int64_t>(rows.size());
  }
  return v;
}

Verdict judge_values(const StepResult& one, const StepResult& layout, const std::map<std::string, Judged>& families,
                     const Bounds& bounds) {
  Verdict v;
  judge_numbers(one.report, layout.report, bounds, v);
  judge_pieces(pieces_of(one.gradients, layout.gradients, families), bounds, v);
  judge_pieces(pieces_of(one.row_gradients, layout.row_gradients, families), bounds, v);
  return v;
}

Verdict judge_step(const StepResult& one, const StepResult& layout, const std::map<std::string, Judged>& families,
                   const Bounds& bounds) {
  Verdict v = judge_batch(one, layout);
  judge_counts(one, layout, v);
  v.compare("loss", "of an evaluation", relative(one.nats, layout.nats), bounds.loss);
  if (one.gradients.tensors.size() == layout.gradients.tensors.size()) {
    v.add(judge_values(one, layout, families, bounds));
  } else {
    v.failures.push_back("the layout has gradients of other tensors than one rank");
  }
  return v;
}

Verdict judge_recipe(const StepResult& one, const StepResult& layout, const StepResult& reference,
                     const std::map<std::string, Judged>& families, double factor) {
  Verdict v = judge_batch(one, layout);
  judge_counts(one, layout, v);
  const auto of_one = distances_of(reference, one, families), of_layout = distances_of(reference, layout, families);
  for (const auto& [family, distance] : of_one) {
    const double most = distance.relative();
    v.compare(family, concat("from the reference; one rank ", most), of_layout.at(family).relative(), factor * most);
  }
  return v;
}

Verdict judge_update(const OwnUpdate& expected, const StepResult& layout, const std::vector<std::string>& balanced) {
  Verdict v;
  for (const auto& [name, tensor] : expected.after.tensors) {
    const auto found = layout.state.tensors.find(name);
    if (found == layout.state.tensors.end()) {
      v.failures.push_back(name + ": no rank of the layout has this state");
      continue;
    }
    const std::vector<double>&a = tensor.values, &b = found->second.values;
    bool of_balanced = false;
    for (const std::string& table : balanced) of_balanced = of_balanced || name.ends_with(table);
    const double bound = of_balanced ? kBalanced * distance(expected.before.tensors.at(name).values, a) : 0;
    v.compare("update", name, distance(a, b), bound);
    if (!of_balanced) v.exact["tensors after the update"] += 1;
  }
  return v;
}

}  // namespace birkhoff
