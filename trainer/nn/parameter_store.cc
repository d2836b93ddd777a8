#include "trainer/nn/parameter_store.h"

#include <set>

#include "kernels/core/error.h"
#include "kernels/elementwise/add.h"
#include "kernels/elementwise/copy.h"
#include "kernels/elementwise/random.h"
#include "kernels/gemm/precision.h"

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

void initialize_one(Stream& stream, Parameter& p, uint64_t seed) {
  switch (p.init.kind) {
    case Init::Kind::normal:
      return fill_normal(stream, {p.value, seed, key_of(p.name), 0, p.init.value});
    case Init::Kind::constant:
      return fill(stream, p.value, p.init.value);
    case Init::Kind::table: {
      if (stream.device.kind == DeviceKind::meta) return;
      std::vector<double> values(static_cast<size_t>(p.value.count()));
      for (size_t i = 0; i < values.size(); ++i) values[i] = p.init.at(static_cast<int64_t>(i));
      return write_values(stream, p.value, values);
    }
  }
}

}  // namespace

ParameterStore::ParameterStore(Device device, Communicator& replicas, const std::function<void(ModuleVisitor&)>& visit,
                               const CostOf& cost_of)
    : device_(device), memory_(device) {
  Collector found;
  visit(found);
  units_ = found.units;
  entries_ = found.entries;
  buffers_ = found.buffers;
  counters_ = found.counters;
  routers_ = found.routers;
  std::vector<std::vector<BucketItem>> items(units_.size());
  for (Entry& e : entries_) {
    auto& unit = items[static_cast<size_t>(e.unit)];
    e.item = unit.size();
    const UpdateCost cost = cost_of(*e.parameter);
    unit.push_back({e.parameter->name, e.parameter->shape, cost.cost, cost.grain});
  }
  std::vector<double> load(static_cast<size_t>(replicas.size()), 0.0);
  for (auto& unit : items) buckets_.push_back(std::make_unique<Bucket>(memory_, replicas, std::move(unit), load));
  std::vector<std::vector<size_t>> index(units_.size());
  for (size_t i = 0; i < entries_.size(); ++i) {
    const Entry& e = entries_[i];
    e.parameter->value = buckets_[static_cast<size_t>(e.unit)]->value(e.item);
    e.parameter->grad = buckets_[static_cast<size_t>(e.unit)]->gradient(e.item);
    index[static_cast<size_t>(e.unit)].push_back(i);
    if (e.parameter->num_uses == 1) continue;
    shared_.push_back(e);
    for (int use = 1; use < e.parameter->num_uses; ++use) {
      e.parameter->further_grads.push_back(memory_.take(Precision::statistic(), e.parameter->shape));
    }
  }
  for (size_t u = 0; u < buckets_.size(); ++u) {
    for (const Bucket::Owned& o : buckets_[u]->owned()) {
      const size_t i = index[u][o.item];
      owned_.push_back({entries_[i].parameter, i, o.slice, o.value, o.gradient});
    }
  }
  Stream stream{device_};
  for (PersistentBuffer* b : buffers_) {
    b->value = memory_.take(Precision::statistic(), b->shape);
    fill_zero(stream, b->value);
  }
  for (StepCounter* c : counters_) c->value = memory_.take(Precision::statistic(), c->shape);
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
  for (auto& bucket : buckets_) bucket->zero_gradients(stream);
  for (const Entry& e : shared_) {
    for (const Tensor& grad : e.parameter->further_grads) fill_zero(stream, grad);
  }
  for (StepCounter* c : counters_) fill_zero(stream, c->value);
}

void ParameterStore::start_reduce(Stream& stream, int unit) {
  for (const Entry& e : shared_) {
    if (e.unit != unit) continue;
    for (const Tensor& grad : e.parameter->further_grads) add(stream, {e.parameter->grad, e.parameter->grad, grad});
  }
  buckets_[static_cast<size_t>(unit)]->start_reduce(stream);
}

void ParameterStore::wait_reduced(Stream& stream) {
  for (auto& bucket : buckets_) bucket->wait_reduced(stream);
}

void ParameterStore::publish(Stream& stream) {
  for (auto& bucket : buckets_) bucket->start_gather(stream);
  for (auto& bucket : buckets_) bucket->wait_gathered(stream);
  values_changed();
}

void ParameterStore::values_changed() {
  for (const Entry& e : entries_) ++e.parameter->version;
}

void ParameterStore::state(StateVisitor& v) {
  for (const Entry& e : entries_) v.replicated("model." + e.parameter->name, e.parameter->value);
  for (PersistentBuffer* b : buffers_) v.replicated("model." + b->name, b->value);
}

}  // namespace birkhoff
