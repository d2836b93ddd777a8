#include "trainer/nn/parameter_store.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "kernels/core/error.h"
#include "kernels/core/seeded_defect.h"
#include "kernels/elementwise/add.h"
#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/random.h"

namespace birkhoff {
namespace {

struct Collector final : ModuleVisitor {
  std::vector<std::string> units;
  std::vector<ParameterStore::Entry> entries;
  std::vector<PersistentBuffer*> buffers;
  std::vector<StepCounter*> counters;
  std::vector<ParameterStore::Router> routers;
  std::set<std::string> names;

  void begin_unit(const std::string& name) override { units.push_back(name); }
  void parameter(Parameter& p) override {
    BK_ASSERT(!units.empty() && names.insert(p.name).second, p.name, " is named twice or stands outside a unit");
    entries.push_back({&p, static_cast<int>(units.size()) - 1, 0});
  }
  void buffer(PersistentBuffer& b) override { buffers.push_back(&b); }
  void counter(StepCounter& c) override { counters.push_back(&c); }
  void router(PersistentBuffer& bias, StepCounter& load) override { routers.push_back({&bias, &load}); }
};

// An initial value depends only on the element of the logical tensor, so it is the same however ranks divide the
// tensor.
void initialize_one(Stream& stream, Parameter& p, uint64_t seed) {
  switch (p.init.kind) {
    case Init::Kind::normal:
      return p.held.for_each_run([&](int64_t first, int64_t local, int64_t count) {
        fill_normal(stream, {p.value.flat(local, count), seed, key_of(p.name), first, p.init.value});
      });
    case Init::Kind::constant:
      return fill(stream, p.value, p.init.value);
    case Init::Kind::table: {
      if (stream.device.kind == DeviceKind::meta) return;
      std::vector<double> values(static_cast<size_t>(p.value.count()));
      p.held.for_each_run([&](int64_t first, int64_t local, int64_t count) {
        for (int64_t i = 0; i < count; ++i) values[static_cast<size_t>(local + i)] = p.init.at(first + i);
      });
      return write_values(stream, p.value, values);
    }
  }
}

std::optional<Axis> dividing_axis(const Parameter& p, const Place& rank, const ParameterStore::UpdateCost& cost) {
  return cost.whole_matrices ? axis_of_matrices(p, rank) : std::nullopt;
}

// The part of the cost that falls to the group: that of its experts, shared by the ranks that divide each matrix.
double share_of(const Parameter& p, const Place& rank, const Held& held, double cost, std::optional<Axis> divided) {
  const auto part = [](int64_t count, int64_t all) {
    return static_cast<double>(count) / static_cast<double>(std::max<int64_t>(all, 1));
  };
  if (!divided) return cost * part(held.shape.count(), p.shape.count());
  return cost * (p.shape.rank() == 3 ? part(held.shape[0], p.shape[0]) : 1) / rank.degree(*divided);
}

// How many elements of the held part belong to a unit of matrices. 0 if the part is one unit with several matrices.
int64_t grain_of(const MatrixUnits& units, const Held& held) {
  return units.held == 0 || (units.held == 1 && units.matrices > 1) ? 0 : held.shape.count() / units.held;
}

BucketItem item_of(const Parameter& p, const Place& rank, const ParameterStore::UpdateCost& whole) {
  check_division(p.shape, p.division);
  const Held held = held_by(rank, p.shape, p.division);
  const std::optional<Axis> divided = dividing_axis(p, rank, whole);
  BucketItem item{p.name, held, share_of(p, rank, held, whole.cost, divided), kCutAlignment};
  if (!whole.whole_matrices) return item;
  const MatrixUnits units = matrix_units_of(p, held);
  if (divided) item.units = units.held;
  item.grain = grain_of(units, held);
  return item;
}

}  // namespace

ParameterStore::ParameterStore(Device device, const Mesh& mesh, const std::function<void(ModuleVisitor&)>& visit,
                               const CostOf& cost_of, DType gradient_wire)
    : device_(device), mesh_(&mesh), memory_(device) {
  Collector found;
  visit(found);
  units_ = found.units;
  entries_ = found.entries;
  buffers_ = found.buffers;
  counters_ = found.counters;
  routers_ = found.routers;
  make_buckets(cost_of, gradient_wire);
  bind();
}

// Compares communicators instead of groups. Two groups with the same members share a communicator, so their parameters
// can share a bucket and its collectives.
void ParameterStore::make_buckets(const CostOf& cost_of, DType gradient_wire) {
  std::vector<std::vector<BucketItem>> items;
  for (Entry& e : entries_) {
    Communicator* group = &mesh_->group(group_of(e.parameter->gradient_sum()));
    const UpdateCost cost = cost_of(*e.parameter);
    const std::optional<Axis> divided = dividing_axis(*e.parameter, mesh_->place(), cost);
    auto same = std::find_if(buckets_.begin(), buckets_.end(), [&](const UnitBucket& b) {
      return b.unit == e.unit && b.group == group && b.divided_over == divided;
    });
    if (same == buckets_.end()) {
      same = buckets_.insert(same, {e.unit, group, divided, nullptr});
      items.emplace_back();
    }
    e.bucket = static_cast<size_t>(same - buckets_.begin());
    e.item = items[e.bucket].size();
    items[e.bucket].push_back(item_of(*e.parameter, mesh_->place(), cost));
  }
  // Update cost given to each rank of a group so far. Buckets share it, so that the total over all units is balanced.
  // Divided matrices come first: other parameters may be larger on some ranks along the axis than on others.
  std::map<Communicator*, std::vector<double>> loads;
  for (const bool divided : {true, false}) {
    for (size_t b = 0; b < buckets_.size(); ++b) {
      if (buckets_[b].divided_over.has_value() != divided) continue;
      Communicator& group = *buckets_[b].group;
      std::vector<double>& load = loads.emplace(&group, static_cast<size_t>(group.size())).first->second;
      buckets_[b].bucket = std::make_unique<Bucket>(memory_, group, std::move(items[b]), load, gradient_wire);
    }
  }
}

void ParameterStore::bind() {
  std::vector<std::vector<size_t>> index(buckets_.size());  // by bucket and item: index in entries_
  for (size_t i = 0; i < entries_.size(); ++i) {
    const Entry& e = entries_[i];
    Parameter& p = *e.parameter;
    p.value = buckets_[e.bucket].bucket->value(e.item);
    p.grad = buckets_[e.bucket].bucket->gradient(e.item);
    p.held = buckets_[e.bucket].bucket->item(e.item).held.slice;
    index[e.bucket].push_back(i);
    if (p.num_uses == 1) continue;
    shared_.push_back(e);
    for (int use = 1; use < p.num_uses; ++use) {
      p.further_grads.push_back(memory_.take(Precision::statistic(), p.value.shape));
    }
  }
  for (size_t b = 0; b < buckets_.size(); ++b) {
    for (const Bucket::Owned& o : buckets_[b].bucket->owned()) {
      const size_t i = index[b][o.item];
      owned_.push_back({entries_[i].parameter, i, o.begin, o.slice, o.value, o.gradient});
    }
  }
  // Buffers start at zero here, because initialize() sets only parameters.
  Stream stream{device_};
  for (PersistentBuffer* b : buffers_) {
    b->value = memory_.take(Precision::statistic(), b->shape);
    fill_zero(stream, b->value);
  }
  for (StepCounter* c : counters_) {
    c->value = memory_.take(c->kind == StepCounter::Kind::load ? Precision::load() : Precision::statistic(), c->shape);
  }
}

std::vector<ParameterStore::MatrixRange> ParameterStore::matrices_by_owner(size_t entry) const {
  const Entry& e = entries_[entry];
  const Bucket& bucket = *buckets_[e.bucket].bucket;
  const BucketItem& item = bucket.item(e.item);
  const MatrixUnits units = matrix_units_of(*e.parameter, item.held);
  // Without units in the bucket, the ranges count elements.
  const int64_t size = item.units || units.held == 0 ? 1 : std::max<int64_t>(item.held.shape.count() / units.held, 1);
  std::vector<MatrixRange> ranges;
  for (int rank = 0; rank < buckets_[e.bucket].group->size(); ++rank) {
    const Bucket::Range range = bucket.owned_by(rank, e.item);
    ranges.push_back(
        {units.first + range.begin / size * units.matrices, units.first + range.end / size * units.matrices});
  }
  return ranges;
}

size_t ParameterStore::packed_gradient_bytes() const {
  size_t sum = 0;
  for (const UnitBucket& b : buckets_) sum += b.bucket->packed_bytes();
  return sum;
}

int64_t ParameterStore::num_parameters() const {
  int64_t sum = 0;
  for (const Entry& e : entries_) sum += e.parameter->shape.count();
  return sum;
}

void ParameterStore::initialize(Stream& stream, uint64_t seed) {
  for (const Entry& e : entries_) initialize_one(stream, *e.parameter, seed);
  values_changed();
}

void ParameterStore::begin_step(Stream& stream) {
  for (UnitBucket& b : buckets_) b.bucket->zero_gradients(stream);
  for (const Entry& e : shared_) {
    for (const Tensor& grad : e.parameter->further_grads) fill_zero(stream, grad);
  }
  for (StepCounter* c : counters_) fill_zero(stream, c->value);
}

// For seeded defects: the gradients of a part as if they were not summed over the tensor-parallel ranks.
void ParameterStore::drop_share(Stream& stream, int unit, Part part) {
  if (mesh_->coordinate(Axis::tp) == 0) return;
  for (const Entry& e : entries_) {
    if (e.unit == unit && e.parameter->part == part) fill_zero(stream, e.parameter->grad);
  }
}

// The same for experts, whose gradients are summed only over the ranks of edp that differ in dp alone.
void ParameterStore::drop_experts(Stream& stream, int unit) {
  const int first_of_edp = mesh_->coordinate(Axis::etp) + mesh_->degree(Axis::etp) * mesh_->coordinate(Axis::ep);
  if (mesh_->coordinate(Axis::tp) == first_of_edp % mesh_->degree(Axis::tp)) return;
  for (const Entry& e : entries_) {
    if (e.unit == unit && e.parameter->role == Role::experts) fill_zero(stream, e.parameter->grad);
  }
}

void ParameterStore::start_reduce(Stream& stream, int unit) {
  for (const Entry& e : shared_) {
    if (e.unit != unit) continue;
    for (const Tensor& grad : e.parameter->further_grads) add(stream, {e.parameter->grad, e.parameter->grad, grad});
  }
  if (BK_DEFECT("gradients not summed") || (BK_DEFECT("a unit left unreduced") && unit == 1)) return;
  if (BK_DEFECT("D1 norm gains not summed over tp")) drop_share(stream, unit, Part::block_norms);
  if (BK_DEFECT("D2 hyper-connections not summed over tp")) drop_share(stream, unit, Part::hyper_connections);
  if (BK_DEFECT("D10 expert gradient over dp instead of edp")) drop_experts(stream, unit);
  for (UnitBucket& b : buckets_) {
    if (b.unit == unit) b.bucket->start_reduce(stream);
  }
}

void ParameterStore::wait_reduced(Stream& stream) {
  if (BK_DEFECT("gradients not summed")) return;
  for (UnitBucket& b : buckets_) {
    if (BK_DEFECT("sums of gradients read before the wait")) break;
    if (!(BK_DEFECT("a unit left unreduced") && b.unit == 1)) b.bucket->wait_reduced(stream);
  }
  for (const Owned& o : owned_) {
    if (!BK_DEFECT("D10 expert gradient times ep") || o.parameter->role != Role::experts) continue;
    scale(stream, {o.gradient, o.gradient, {}, static_cast<double>(mesh_->degree(Axis::ep))});
  }
}

void ParameterStore::publish(Stream& stream) {
  for (UnitBucket& b : buckets_) {
    if (BK_DEFECT("sums of gradients read before the wait")) b.bucket->wait_reduced(stream);
  }
  std::map<Bucket*, std::vector<double>> kept;  // by a holder that gets no new values
  for (UnitBucket& b : buckets_) {
    const bool last = b.group->rank() > 0 && b.group->rank() + 1 == b.group->size();
    if (BK_DEFECT("D27 new values not sent to one holder") && last) {
      kept[b.bucket.get()] = read_values(stream, b.bucket->all_values());
    }
  }
  if (!BK_DEFECT("new values not sent")) {
    // All gathers start before the first wait, so that they overlap.
    for (UnitBucket& b : buckets_) b.bucket->start_gather(stream);
    for (UnitBucket& b : buckets_) b.bucket->wait_gathered(stream);
  }
  for (const auto& [bucket, values] : kept) write_values(stream, bucket->all_values(), values);
  values_changed();
}

void ParameterStore::values_changed() {
  for (const Entry& e : entries_) ++e.parameter->version;
}

void ParameterStore::state(StateVisitor& v) {
  for (const Entry& e : entries_) {
    const Parameter& p = *e.parameter;
    const bool flat = BK_DEFECT("D24 row-parallel shard as a flat range") && p.name.ends_with("attention.out.weight");
    const int64_t rows = p.shape[0] / mesh_->degree(Axis::tp);
    const Slice range{p.shape, {{{rows * mesh_->coordinate(Axis::tp), 0}, {rows, p.shape.back()}}}};
    v.replicated("model." + p.name, p.value, flat ? range : p.held, *buckets_[e.bucket].group);
  }
  for (PersistentBuffer* b : buffers_) {
    v.replicated("model." + b->name, b->value, Slice::all(b->shape), mesh_->group(Group::stage));
  }
}

}  // namespace birkhoff
