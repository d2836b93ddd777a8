// Checks the gradient of every parameter of whole models, in f64, against finite differences of the loss.
#include <cmath>

#include <gtest/gtest.h>

#include "kernels/core/philox.h"
#include "kernels/elementwise/copy.h"
#include "tests/support/op_case.h"
#include "tests/support/tolerance.h"
#include "tests/trainer/support/tiny_model.h"

namespace birkhoff::test {
namespace {

std::vector<double> unit_direction(const std::string& name, size_t count) {
  const Philox random(3, key_of(name));
  std::vector<double> v(count);
  double norm = 0;
  for (size_t i = 0; i < count; ++i) {
    v[i] = random.normal(i);
    norm += v[i] * v[i];
  }
  for (double& x : v) x /= std::sqrt(norm);
  return v;
}

class ModelGradient : public ::testing::TestWithParam<Variant> {
 protected:
  // Two microbatches.
  ModelGradient() : tiny_({DeviceKind::reference}, GetParam().options) {
    TinyStep step;
    step.sequences = 4;
    batch_ = tiny_batch(GetParam().options, step);
  }

  void expect_parameter_gradients() {
    tiny_.run(batch_, TinyModel::Work::gradients);
    const std::vector<TinyModel::Gradient> gradients = tiny_.gradients();
    const auto& entries = tiny_.model.parameters->entries();
    for (size_t i = 0; i < entries.size(); ++i) {
      expect_gradient(gradients[i].name, entries[i].parameter->value, gradients[i].values);
    }
  }

  // Fourth-order central difference of the loss as the values move along `direction`. If a choice of experts flipped or
  // a value crossed a clamp within the step, the error would be far above the bound.
  double difference(Tensor values, const std::vector<double>& direction) {
    const double h = 3e-5;
    const std::vector<double> start = values_of(values);
    auto loss_at = [&](double step) {
      std::vector<double> moved = start;
      for (size_t i = 0; i < moved.size(); ++i) moved[i] += step * direction[i];
      set_values(values, moved);
      tiny_.model.parameters->values_changed();
      return tiny_.run(batch_, TinyModel::Work::loss);
    };
    const double far = loss_at(2 * h) - loss_at(-2 * h), near = loss_at(h) - loss_at(-h);
    set_values(values, start);
    tiny_.model.parameters->values_changed();
    return (8 * near - far) / (12 * h);
  }

  void expect_gradient(const std::string& name, Tensor values, const std::vector<double>& gradient) {
    const std::vector<double> direction = unit_direction(name, gradient.size());
    double slope = 0, norm = 0;
    for (size_t i = 0; i < gradient.size(); ++i) {
      slope += gradient[i] * direction[i];
      norm += gradient[i] * gradient[i];
    }
    norm = std::sqrt(norm);
    EXPECT_GT(norm, 1e-5) << name << " has no gradient: the case tests nothing";
    EXPECT_NEAR(difference(values, direction), slope, kGradientBound * norm) << name << ' ' << norm;
  }

  TinyModel tiny_;
  StepBatch batch_;
};

TEST_P(ModelGradient, OfEveryParameterIsTheSlopeOfTheLoss) { expect_parameter_gradients(); }

TEST_P(ModelGradient, OfPaddedSequencesIsTheSlopeOfTheLoss) {
  TinyStep step;
  step.sequences = 2;
  step.length = 8;
  step.padding = 3;
  batch_ = tiny_batch(GetParam().options, step);
  expect_parameter_gradients();
}

TEST_P(ModelGradient, OfTheEngramRowsIsTheSlopeOfTheLoss) {
  tiny_.run(batch_, TinyModel::Work::gradients);
  const std::vector<TinyModel::Gradient> gradients = tiny_.gradients();
  for (size_t l = 0; l < tiny_.model.tables.size(); ++l) {
    const ShardedRowStore& table = *tiny_.model.tables[l];
    const int64_t width = table.row_width();
    const std::vector<double>& rows = gradients[tiny_.model.parameters->entries().size() + l].values;
    std::vector<double> dense(static_cast<size_t>(table.num_rows() * width), 0.0);
    for (size_t r = 0; r < batch_.engram_rows[l].size(); ++r) {
      const auto from = rows.begin() + static_cast<int64_t>(r) * width;
      std::copy(from, from + width, dense.begin() + batch_.engram_rows[l][r] * width);
    }
    expect_gradient(table.name(), table.local_values(), dense);
  }
}

INSTANTIATE_TEST_SUITE_P(Variants, ModelGradient, ::testing::ValuesIn(variants()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace birkhoff::test
