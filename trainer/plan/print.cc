#include <iomanip>
#include <map>
#include <sstream>

#include "kernels/core/error.h"
#include "trainer/plan/describe.h"
#include "trainer/plan/grouped.h"

namespace birkhoff {
namespace {

std::string grouped(double value) { return birkhoff::grouped(static_cast<int64_t>(value + 0.5)); }

class Text {
 public:
  void title(const std::string& text) { out_ << '\n' << text << '\n'; }
  void row(const std::string& name, const std::string& value, const std::string& note = {}) {
    out_ << "  " << std::left << std::setw(40) << name << std::right << std::setw(22) << value;
    out_ << (note.empty() ? "" : "  ") << note << '\n';
  }
  void line(const std::string& text) { out_ << "  " << text << '\n'; }
  void block(const std::string& lines) { out_ << lines; }
  std::string str() const { return out_.str(); }

 private:
  std::ostringstream out_;
};

void print_parameters(Text& text, const ModelDescription& d) {
  text.title("parameters, and how many a token meets");
  for (const ModelDescription::Count& c : d.counts) {
    text.row(concat(c.predictor ? "mtp " : "", name_of(c.part), " (", name_of(c.role), ")"), grouped(c.parameters),
             grouped(c.active));
  }
  if (d.router_biases > 0) text.row("router biases", grouped(d.router_biases), grouped(d.router_biases));
  if (d.mtp_router_biases > 0)
    text.row("mtp router biases", grouped(d.mtp_router_biases), grouped(d.mtp_router_biases));
  const std::string biases = d.router_biases > 0 ? grouped(d.router_biases) + " router biases included" : "";
  text.row("total", grouped(d.total()), biases);
  if (d.mtp_total() > 0) text.row("multi-token prediction, apart", grouped(d.mtp_total()));
  text.row("active per token", grouped(d.active()));
  text.row("active, embedding left out", grouped(d.active() - static_cast<double>(d.parameters_of(Part::embedding))));
}

void print_tables(Text& text, const ModelDescription& d) {
  if (d.tables.empty()) return;
  text.title("Engram tables, rows x width, apart from the total");
  for (const ModelDescription::Table& t : d.tables) {
    text.row(t.name, grouped(t.rows) + " x " + std::to_string(t.width),
             grouped(t.rows * t.width) + " parameters, " + std::to_string(t.rows_per_token) + " rows a token");
  }
  text.row("all tables", grouped(d.table_parameters()));
}

void print_sites(Text& text, const ModelDescription& d) {
  if (d.sites.empty()) return;
  std::map<int64_t, std::pair<int64_t, std::string>> kinds;
  for (const ModelDescription::Site& s : d.sites) {
    auto& kind = kinds[s.parameters];
    if (kind.first++ == 0) kind.second = s.name;
  }
  text.title("hyper-connections, parameters of a site");
  // Sites with the same number of parameters share a line, which names the first of them.
  for (const auto& [parameters, kind] : kinds) {
    text.row(kind.second + (kind.first > 1 ? " and alike" : ""), grouped(parameters),
             std::to_string(kind.first) + " sites");
  }
}

void print_bytes(Text& text, const ModelDescription& d) {
  const RankBytes& b = d.bytes;
  text.title(d.num_ranks == 1 ? "bytes of one replica alone; more replicas divide moments and tables"
                              : concat("bytes of rank ", d.fullest_rank, ", the fullest of the ", d.num_ranks,
                                       " ranks of ", d.layout));
  const std::pair<const char*, int64_t> rows[] = {{"weights and masters (f32, one copy)", b.weights},
                                                  {"packed weights", b.packed_weights},
                                                  {"gradients", b.gradients},
                                                  {"moments", b.moments},
                                                  {"Engram tables", b.tables},
                                                  {"moments of tables", b.table_moments}};
  for (const auto& [name, bytes] : rows) {
    if (bytes > 0) text.row(name, grouped(bytes));
  }
  text.row("activations of a microbatch", grouped(b.activations), grouped(d.microbatch_tokens) + " tokens");
  text.row("kernel scratch", grouped(b.kernel_scratch));
  text.row("all", grouped(b.of_model()));
}

void print_flops(Text& text, const ModelDescription& d) {
  text.title("FLOPs per token, sequences of " + grouped(d.sequence_length) +
             ": forward, training, formula of the forward");
  FlopsTerm sum;
  for (const FlopsTerm& t : d.flops) {
    std::ostringstream note;
    note << std::setw(20) << grouped(t.training) << "  " << t.formula;
    text.row(t.name, grouped(t.forward), note.str());
    sum.forward += t.forward;
    sum.training += t.training;
  }
  auto row = [&](const std::string& name, double forward, double training) {
    std::ostringstream note;
    note << std::setw(20) << grouped(training);
    text.row(name, grouped(forward), note.str());
  };
  row("sum of the terms", sum.forward, sum.training);
  row("counted by the ops of a step", d.counted_forward, d.counted_training);
  text.line("training: 3 x forward, attention scores and values 3.5 x, since the backward computes the scores again");
}

}  // namespace

std::string print(const ModelDescription& d) {
  Text text;
  print_parameters(text, d);
  print_tables(text, d);
  print_sites(text, d);
  text.title("which parameter has which optimizer");
  text.block(d.optimizers);
  print_bytes(text, d);
  print_flops(text, d);
  return text.str().substr(1);
}

}  // namespace birkhoff
