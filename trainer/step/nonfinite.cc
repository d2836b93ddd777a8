#include "trainer/step/nonfinite.h"

#include <algorithm>
#include <limits>
#include <optional>

#include "kernels/elementwise/copy.h"
#include "kernels/reduce/reduce.h"
#include "parallel/comm/host_values.h"

namespace birkhoff {
namespace {

// A tensor that is not finite on this rank. The suspect with the smallest order is nearest to the origin.
struct Suspect {
  int64_t order = 0;
  std::string what;  // "the value of layers.1.ffn.experts.up, expert 3"
};

class FiniteCheck {
 public:
  explicit FiniteCheck(Stream stream) : stream_(stream), memory_(stream.device) {}
  // Whether all values of the tensor are finite. Reads it once and waits for the device.
  bool operator()(Tensor values) {
    if (values.count() == 0) return true;
    memory_.reset();
    const Tensor flag = memory_.take(DType::i32, {1});
    fill_zero(stream_, flag);
    flag_nonfinite(stream_, {flag, values});
    int32_t bad = 0;
    if (stream_.device.kind != DeviceKind::meta) to_host(stream_, &bad, flag);
    return bad == 0;
  }

 private:
  Stream stream_;
  Arena memory_;
};

// If `p` holds experts, returns ", expert 3" for the first expert whose part of `of` is not finite.
std::string part_of(FiniteCheck& finite, const Parameter& p, Tensor of) {
  if (p.role != Role::experts) return {};
  for (int64_t e = 0; e < of.shape[0]; ++e) {
    if (!finite(of.rows(e, 1))) return concat(", expert ", p.first_row() + e);
  }
  return {};
}

// The first row that is not finite, by bisection: log2(rows) checks, each of which waits for the device.
int64_t bad_row(FiniteCheck& finite, Tensor rows) {
  int64_t begin = 0, end = rows.shape[0];
  while (end - begin > 1) {
    const int64_t middle = begin + (end - begin) / 2;
    if (finite(rows.rows(begin, middle - begin))) {
      begin = middle;
    } else {
      end = middle;
    }
  }
  return begin;
}

// The index, in entries(), of the first parameter of the Engram module that reads this table.
int64_t first_reader_of(const Model& model, size_t table) {
  const int64_t layer = model.decoder->options().engram.layers[table];
  const auto& all = model.parameters->entries();
  const auto first = std::find_if(all.begin(), all.end(), [&](const ParameterStore::Entry& e) {
    return e.parameter->part == Part::engram && e.unit == unit_of_block(layer);
  });
  return first - all.begin();
}

// The first value that is not finite: checks parameters, then router biases, then the rows of tables.
std::optional<Suspect> find_bad_value(Stream stream, const Model& model) {
  FiniteCheck finite(stream);
  int64_t order = 0;
  for (const ParameterStore::Entry& e : model.parameters->entries()) {
    const Parameter& p = *e.parameter;
    if (!finite(p.value)) return Suspect{order, "the value of " + p.name + part_of(finite, p, p.value)};
    ++order;
  }
  for (const PersistentBuffer* b : model.parameters->buffers()) {
    if (!finite(b->value)) return Suspect{order, "the value of " + b->name};
    ++order;
  }
  for (const auto& table : model.tables) {
    if (!finite(table->local_values())) {
      const int64_t row = table->first_row() + bad_row(finite, table->local_values());
      return Suspect{order, concat("the value of ", table->name(), ", row ", row)};
    }
    ++order;
  }
  return std::nullopt;
}

// The last parameter or table, in forward order, with a gradient that is not finite: a backward spreads a non-finite
// value from its origin toward the input. The gradients must be those of this rank alone, because a sum over the
// replicas would not show from which rank a value comes.
std::optional<Suspect> find_bad_gradient(Stream stream, const Model& model, const std::vector<Tensor>& row_gradients) {
  FiniteCheck finite(stream);
  const auto& entries = model.parameters->entries();
  const auto count = static_cast<int64_t>(entries.size());
  std::optional<Suspect> last;
  for (int64_t i = count - 1; i >= 0 && !last; --i) {
    const Parameter& p = *entries[static_cast<size_t>(i)].parameter;
    for (int use = 0; use < p.num_uses && !last; ++use) {
      const Tensor grad = p.grad_of(use);
      if (!finite(grad)) last = {2 * (count - i), "the gradient of " + p.name + part_of(finite, p, grad)};
    }
  }
  for (size_t t = 0; t < row_gradients.size(); ++t) {
    const std::string& name = model.tables[t]->name();
    // Just before the first parameter of the Engram module: odd orders lie between those of parameters, which are even.
    const int64_t order = 2 * (count - first_reader_of(model, t)) + 1;
    if ((!last || order < last->order) && !finite(row_gradients[t])) last = {order, "the gradient of " + name};
  }
  return last;
}

// Checks each value that a module shows, while its memory is still valid, and keeps the first that is not finite.
class ForwardCheck final : public Instrument {
 public:
  explicit ForwardCheck(Stream stream) : finite_(stream) {}

  bool wants_values() const override { return true; }
  void show(const std::string& what, Tensor value) override {
    ++shown_;
    if (!found_ && !finite_(value)) found_ = {shown_, what};
  }
  const std::optional<Suspect>& found() const { return found_; }

 private:
  FiniteCheck finite_;
  int64_t shown_ = 0;
  std::optional<Suspect> found_;
};

// Runs `search` for each microbatch. Returns the suspect with the smallest order, and among equal ones the first.
template <class Search>
std::optional<Suspect> first_of_microbatches(const NonfiniteArgs& args, Search&& search) {
  std::optional<Suspect> first;
  Stream stream = args.stream;
  for (size_t m = 0; m < args.num_microbatches; ++m) {
    args.model->parameters->begin_step(stream);
    const std::optional<Suspect> found = search(m);
    if (!found || (first && first->order <= found->order)) continue;
    first = found;
    first->what += concat(", microbatch ", m + 1, ",");
  }
  return first;
}

// Runs one microbatch, as a program of its own. Without on_unit_done, no gradient is summed over the replicas.
void run_one(const NonfiniteArgs& args, size_t microbatch, const Program& program, Instrument* instrument) {
  args.runner->run({.program = &program,
                    .batch = [&](Arena& memory, size_t) { return args.batch(memory, microbatch); },
                    .instrument = instrument});
}

std::optional<Suspect> bad_forward(const NonfiniteArgs& args) {
  const Program program = forward_program(args.runner->num_chunks(), 1);
  return first_of_microbatches(args, [&](size_t m) {
    ForwardCheck check(args.stream);
    run_one(args, m, program, &check);
    return check.found();
  });
}

std::optional<Suspect> bad_backward(const NonfiniteArgs& args) {
  const Program program = sequential_program(args.runner->num_chunks(), 1);
  Stream stream = args.stream;
  return first_of_microbatches(args, [&](size_t m) {
    for (const Tensor& rows : *args.row_gradients) fill_zero(stream, rows);
    run_one(args, m, program, nullptr);
    return find_bad_gradient(stream, *args.model, *args.row_gradients);
  });
}

// Collective. Describes the suspect with the smallest order over all ranks, and names its rank, or the lowest such rank
// if there are several. Empty if no rank found anything.
std::string first_of_all_ranks(const NonfiniteArgs& args, const std::optional<Suspect>& mine) {
  Communicator& world = *args.world;
  constexpr int64_t kNone = std::numeric_limits<int64_t>::max();
  const auto size = static_cast<size_t>(world.size());
  const int64_t order = mine ? mine->order : kNone;
  const std::vector<int64_t> orders = all_gather_on_host(world, order);
  const auto first = std::min_element(orders.begin(), orders.end());
  if (*first == kNone) return {};
  const int root = static_cast<int>(first - orders.begin());
  const std::string what = broadcast_on_host(world, mine ? mine->what : std::string(), root);
  if (size == 1) return what;
  const bool everywhere = std::count(orders.begin(), orders.end(), *first) == static_cast<int64_t>(size);
  return what + (everywhere ? " on every rank"
                            : concat(" on ", describe_rank(root, args.model->parameters->mesh().place().degrees)));
}

}  // namespace

std::string find_nonfinite(const NonfiniteArgs& args) {
  // A bad value or activation also spoils everything after it, so the first search that finds something is nearest to
  // the origin. All ranks run the same searches, since `where` is the same on all of them.
  std::string where = first_of_all_ranks(args, find_bad_value(args.stream, *args.model));
  if (where.empty()) where = first_of_all_ranks(args, bad_forward(args));
  if (where.empty()) where = first_of_all_ranks(args, bad_backward(args));
  return where;
}

}  // namespace birkhoff
