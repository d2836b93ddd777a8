#include <algorithm>
#include <iomanip>
#include <set>

#include "kernels/core/error.h"
#include "trainer/optim/optimizer.h"

namespace birkhoff {
namespace {

struct Row {
  std::string before, after;  // parts of the name before and after the number of the layer
  std::string shape, rule, decay, rate;
  std::set<int64_t> layers;

  bool alike(const Row& o) const {
    return before == o.before && after == o.after && shape == o.shape && rule == o.rule && decay == o.decay &&
           rate == o.rate && layers.empty() == o.layers.empty();
  }
};

// "layers.3.ffn.up" -> "layers.", 3, ".ffn.up".
Row row_of(const std::string& name) {
  Row row;
  const size_t dot = name.find('.'), end = dot == std::string::npos ? dot : name.find('.', dot + 1);
  const bool numbered =
      end != std::string::npos && end > dot + 1 &&
      std::all_of(name.begin() + static_cast<int64_t>(dot) + 1, name.begin() + static_cast<int64_t>(end),
                  [](char c) { return c >= '0' && c <= '9'; });
  if (!numbered) {
    row.before = name;
    return row;
  }
  row.before = name.substr(0, dot + 1);
  row.after = name.substr(end);
  row.layers = {std::stoll(name.substr(dot + 1, end - dot - 1))};
  return row;
}

// {0, 1, 2, 5} -> "[0-2,5]", {3} -> "3".
std::string text_of(const std::set<int64_t>& layers) {
  if (layers.empty()) return {};
  if (layers.size() == 1) return std::to_string(*layers.begin());
  std::string text;
  for (auto first = layers.begin(); first != layers.end();) {
    auto last = first;
    while (std::next(last) != layers.end() && *std::next(last) == *last + 1) ++last;
    text += concat(text.empty() ? "[" : ",", *first);
    if (last != first) text += concat("-", *last);
    first = std::next(last);
  }
  return text + "]";
}

// "2 x [64, 32], 1 x [16, 32]": how many matrices of each shape, in the order in which the shapes first occur.
std::string count_matrices(const Parameter& p) {
  std::vector<std::pair<std::string, int64_t>> kinds;
  for (const MatrixPlace& m : matrices_of(p)) {
    const std::string shape = concat(m.shape());
    auto kind = std::find_if(kinds.begin(), kinds.end(), [&](const auto& k) { return k.first == shape; });
    if (kind == kinds.end()) kind = kinds.insert(kind, {shape, 0});
    ++kind->second;
  }
  std::string text;
  for (const auto& [shape, count] : kinds) text += concat(text.empty() ? "" : ", ", count, " x ", shape);
  return text;
}

// " on rank 2", " on ranks [0-3,5]".
std::string on_ranks(const std::set<int>& ranks) {
  return concat(ranks.size() == 1 ? " on rank " : " on ranks ", text_of({ranks.begin(), ranks.end()}));
}

// With several ranks it says which of them update the matrices.
std::string muon_of(const ParameterStore& parameters, const MatrixOwners& owners, size_t entry) {
  const bool alone = parameters.mesh().group(Group::stage).size() == 1;
  return concat(name_of(OptimizerType::muon), ", ", count_matrices(*parameters.entries()[entry].parameter),
                alone ? std::string() : on_ranks(owners.of(entry)));
}

std::string rule_of(const TableOptimizer& table) {
  if (table.options().update == TableUpdate::sparse_adamw) return "sparse adamw";
  const size_t matrices = table.matrix_begins().size();
  return matrices == 1 ? "balanced, one matrix" : concat("balanced, ", matrices, " matrices");
}

class Rows {
 public:
  void add(Row row) {
    const auto same = std::find_if(rows_.begin(), rows_.end(), [&](const Row& r) { return r.alike(row); });
    if (same != rows_.end()) {
      same->layers.merge(row.layers);
    } else {
      rows_.push_back(std::move(row));
    }
  }

  std::string print() const {
    std::vector<std::vector<std::string>> lines{{"parameter", "shape", "optimizer", "decay", "rate"}};
    for (const Row& r : rows_)
      lines.push_back({r.before + text_of(r.layers) + r.after, r.shape, r.rule, r.decay, r.rate});
    std::vector<size_t> widths(lines[0].size(), 0);
    for (const auto& line : lines) {
      for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size() + 2);
    }
    std::ostringstream out;
    for (const auto& line : lines) {
      out << "  " << std::left;
      for (size_t i = 0; i + 1 < line.size(); ++i) out << std::setw(static_cast<int>(widths[i])) << line[i];
      out << line.back() << '\n';
    }
    return out.str();
  }

 private:
  std::vector<Row> rows_;
};

}  // namespace

std::string optimizer_table(const OptimizerTableArgs& args) {
  Rows rows;
  const MatrixOwners owners(*args.parameters);
  for (size_t entry = 0; entry < args.parameters->entries().size(); ++entry) {
    const ParameterStore::Entry& e = args.parameters->entries()[entry];
    const Assignment a = assignment_of(*e.parameter, args.options.type);
    Row row = row_of(e.parameter->name);
    row.shape = concat(e.parameter->shape);
    row.rule = a.rule == OptimizerType::muon ? muon_of(*args.parameters, owners, entry) : std::string(name_of(a.rule));
    row.decay = a.decay ? concat(args.options.adamw.weight_decay) : "none";
    row.rate = "x 1";
    rows.add(std::move(row));
  }
  for (const TableOptimizer* t : args.tables) {
    Row row = row_of(t->table().name());
    row.shape = concat(Shape{t->table().num_rows(), t->table().row_width()});
    row.rule = rule_of(*t);
    row.decay = "none";
    row.rate = concat("x ", t->options().learning_rate_multiplier);
    rows.add(std::move(row));
  }
  for (const ParameterStore::Router& r : args.parameters->routers()) {
    Row row = row_of(r.bias->name);
    row.shape = concat(r.bias->shape);
    row.rule = "sign of the load error";
    row.decay = "none";
    row.rate = args.bias_update_speed == 0 ? "off" : concat("step ", args.bias_update_speed);
    rows.add(std::move(row));
  }
  return rows.print();
}

}  // namespace birkhoff
