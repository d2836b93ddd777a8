#include "trainer/plan/layout_plan.h"

#include <algorithm>
#include <iomanip>
#include <span>
#include <sstream>

#include "kernels/core/error.h"
#include "parallel/mesh/layout.h"
#include "trainer/plan/grouped.h"

namespace birkhoff {
namespace {

using Rows = std::vector<std::pair<std::string, int64_t>>;

int ranks_of(const MeshDegrees& d) { return d.tp * d.cp * d.dp * d.pp; }

// Ranks that hold and send the same.
struct Column {
  std::vector<int> ranks;
  Rows held, sent;

  // "rank 0", "ranks 1-3", "ranks 0,2,4-7"
  std::string name() const {
    std::string text = ranks.size() == 1 ? "rank " : "ranks ";
    for (size_t first = 0, next = 0; first < ranks.size(); first = next) {
      while (next < ranks.size() && ranks[next] - ranks[first] == static_cast<int>(next - first)) ++next;
      text += concat(first > 0 ? "," : "", ranks[first]);
      if (next - first > 1) text += concat(next - first > 2 ? "-" : ",", ranks[next - 1]);
    }
    return text;
  }
};

Rows rows_of(const std::vector<SentBytes>& sent) {
  Rows rows;
  for (const SentBytes& s : sent) {
    rows.emplace_back(s.group + ": gradients", s.gradients);
    rows.emplace_back(s.group + ": new weights", s.weights);
    rows.emplace_back(s.group + ": matrices of Muon", s.matrices);
    rows.emplace_back(s.group + ": inside layers", s.layers);
    rows.emplace_back(s.group + ": rows of tables, at most", s.table_rows);
    rows.emplace_back(s.group + ": sums", s.sums);
  }
  return rows;
}

std::vector<Column> columns_of(const LayoutPlan& plan) {
  std::vector<Column> columns;
  for (size_t r = 0; r < plan.ranks.size(); ++r) {
    Column column{{static_cast<int>(r)}, plan.ranks[r].memory.bytes, rows_of(plan.ranks[r].sent)};
    const auto same = std::find_if(columns.begin(), columns.end(),
                                   [&](const Column& c) { return c.held == column.held && c.sent == column.sent; });
    same == columns.end() ? columns.push_back(std::move(column)) : same->ranks.push_back(static_cast<int>(r));
  }
  return columns;
}

void print_coordinates(std::ostream& out, const LayoutPlan& plan) {
  std::vector<Axis> axes;
  for (int a = 0; a < kNumAxes; ++a) {
    const auto axis = static_cast<Axis>(a);
    // edp is the rest of the ranks of a stage, which only says something where experts are divided.
    const bool divided = plan.layout.ep * plan.layout.etp > 1;
    if (plan.ranks[0].place.degree(axis) > 1 && (axis != Axis::edp || divided)) axes.push_back(axis);
  }
  if (axes.empty()) return;
  const auto width = [](Axis axis) { return std::max(8, static_cast<int>(name_of(axis).size()) + 2); };
  out << "\nrank";
  for (const Axis axis : axes) out << std::setw(width(axis)) << name_of(axis);
  for (size_t r = 0; r < plan.ranks.size(); ++r) {
    out << '\n' << std::setw(4) << r;
    for (const Axis axis : axes) out << std::setw(width(axis)) << plan.ranks[r].place.coordinate(axis);
  }
  out << '\n';
}

// One table of the columns: the rows in which at least one of them has something, and their sums.
void print_rows(std::ostream& out, const std::string& title, std::span<const Column> columns, Rows Column::*rows) {
  constexpr int kName = 36, kNumber = 17;
  const auto cell = [&](const std::string& text) { out << ' ' << std::setw(kNumber) << text; };
  out << '\n' << std::left << std::setw(kName) << title << std::right;
  for (const Column& c : columns) cell(c.name());
  std::vector<int64_t> sums(columns.size(), 0);
  for (size_t i = 0; i < (columns[0].*rows).size(); ++i) {
    const bool any =
        std::any_of(columns.begin(), columns.end(), [&](const Column& c) { return (c.*rows)[i].second > 0; });
    if (!any) continue;
    out << "\n  " << std::left << std::setw(kName - 2) << (columns[0].*rows)[i].first << std::right;
    for (size_t c = 0; c < columns.size(); ++c) {
      cell(grouped((columns[c].*rows)[i].second));
      sums[c] += (columns[c].*rows)[i].second;
    }
  }
  out << "\n  " << std::left << std::setw(kName - 2) << "all" << std::right;
  for (const int64_t sum : sums) cell(grouped(sum));
  out << '\n';
}

}  // namespace

int64_t LayoutPlan::Rank::sent_bytes() const {
  int64_t bytes = 0;
  for (const SentBytes& s : sent) bytes += s.total();
  return bytes;
}

size_t LayoutPlan::fullest() const {
  const auto holds_less = [](const Rank& a, const Rank& b) { return a.memory.total() < b.memory.total(); };
  return static_cast<size_t>(std::max_element(ranks.begin(), ranks.end(), holds_less) - ranks.begin());
}

int64_t LayoutPlan::most_sent() const {
  int64_t most = 0;
  for (const Rank& rank : ranks) most = std::max(most, rank.sent_bytes());
  return most;
}

LayoutPlan plan_layout(const Config& config, const MeshDegrees& layout) {
  const int ranks = ranks_of(layout);
  BK_CHECK(ranks <= kMostPlannedRanks, "layout ", layout_name(layout), " has ", ranks, " ranks; at most ",
           kMostPlannedRanks, " are described");
  LayoutPlan plan{layout, {}};
  for (int rank = 0; rank < ranks; ++rank) {
    DryRank dry(config, layout, rank, ranks);
    const MemoryPlan memory = memory_plan(dry.run().bytes, config.run.device, ranks);
    plan.ranks.push_back({dry.place(), memory, dry.sent()});
  }
  return plan;
}

std::string print(const LayoutPlan& plan) {
  constexpr size_t kColumns = 4;  // that stand side by side
  std::ostringstream out;
  out << "layout " << layout_name(plan.layout) << ", " << plan.ranks.size()
      << (plan.ranks.size() == 1 ? " rank\n" : " ranks\n");
  print_coordinates(out, plan);
  const std::vector<Column> columns = columns_of(plan);
  for (size_t first = 0; first < columns.size(); first += kColumns) {
    const auto side_by_side = std::span(columns).subspan(first, std::min(kColumns, columns.size() - first));
    print_rows(out, "bytes that a rank holds", side_by_side, &Column::held);
    if (plan.ranks.size() > 1) print_rows(out, "bytes that it sends in a step", side_by_side, &Column::sent);
  }
  return out.str();
}

std::string print(std::vector<LayoutPlan> plans) {
  std::sort(plans.begin(), plans.end(), [](const LayoutPlan& a, const LayoutPlan& b) {
    const int64_t a_bytes = a.ranks[a.fullest()].memory.total(), b_bytes = b.ranks[b.fullest()].memory.total();
    return std::pair(a_bytes, a.most_sent()) < std::pair(b_bytes, b.most_sent());
  });
  std::ostringstream out;
  out << std::left << std::setw(24) << "layout" << std::right << std::setw(20) << "bytes held at most" << std::setw(9)
      << "by rank" << std::setw(32) << "bytes sent in a step at most" << '\n';
  for (const LayoutPlan& plan : plans) {
    out << std::left << std::setw(24) << layout_name(plan.layout) << std::right << std::setw(20)
        << grouped(plan.ranks[plan.fullest()].memory.total()) << std::setw(9) << plan.fullest() << std::setw(32)
        << grouped(plan.most_sent()) << '\n';
  }
  return out.str();
}

}  // namespace birkhoff
