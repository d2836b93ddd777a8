#pragma once
// Tests one op in three ways from a single description: the cpu kernel and the cuda kernel against the f64 reference,
// in f32 and bf16, and the backward of the reference against central differences of its forward.
//
//   OpCase c;
//   c.activation("x", {T, C}).parameter("gain", {C}).output("y", {T, C}).statistic_output("rstd", {T});
//   c.forward([](Stream& s, const Tensors& t) { rmsnorm_forward(s, {t["y"], t["rstd"], t["x"], t["gain"], 1e-6f}); });
//   c.backward([](Stream& s, const Tensors& t) { ...reads t["d_y"], writes t["d_x"], adds to t["d_gain"]... });
//   c.expect_cpu_equals_reference(C);
//   c.expect_gradients({"x", "gain"}, {"y"});
//
// If the case has a backward(), a gradient tensor "d_NAME" exists for every floating-point input and output. It is zero
// for inputs (activation gradients are overwritten, parameter gradients are added to) and random for outputs.
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "kernels/core/arena.h"
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff::test {

// The named tensors of one run. An unknown name gives an absent tensor, so that optional arguments need no special
// case.
class Tensors {
 public:
  Tensor operator[](const std::string& name) const;
  void set(const std::string& name, Tensor tensor) { tensors_[name] = tensor; }

 private:
  std::map<std::string, Tensor> tensors_;
};

// The values of an input by flat index. The default is a standard normal distribution keyed by the name of the input.
using Fill = std::function<double(int64_t index)>;
Fill normal(uint64_t key, double std = 1, double mean = 0);
Fill constant(double value);

class OpCase {
 public:
  using Run = std::function<void(Stream&, const Tensors&)>;

  // Inputs. On the cpu and cuda devices an activation is f32 or bf16, as the run demands, and a parameter is f32. On
  // the reference device both are f64.
  OpCase& activation(const std::string& name, Shape shape, Fill fill = {});
  OpCase& parameter(const std::string& name, Shape shape, Fill fill = {});
  OpCase& index(const std::string& name, std::vector<int64_t> values, DType dtype = DType::i32, Shape shape = {});
  // Outputs of forward: activations, f32 outputs, and f32 statistics, which the backward reads but which have no
  // gradient.
  OpCase& output(const std::string& name, Shape shape);
  OpCase& output_f32(const std::string& name, Shape shape);
  OpCase& statistic_output(const std::string& name, Shape shape);
  OpCase& index_output(const std::string& name, Shape shape, DType dtype = DType::i32);

  OpCase& forward(Run run);
  OpCase& backward(Run run);

  // Compares every output and gradient of the cpu device with the reference, within bound(dtype, reduction). Raise
  // `slack` for an op that carries the error through that many times more arithmetic.
  void expect_cpu_equals_reference(int64_t reduction, double slack = 1) const;
  // The same for the cuda device. Call it from a test of the fixture CudaTest, which skips the test if there is no
  // device.
  void expect_cuda_equals_reference(int64_t reduction, double slack = 1) const;
  // Compares d_INPUT of the reference backward with central differences of sum(outputs * d_outputs), at about `samples`
  // elements of each input.
  void expect_gradients(const std::vector<std::string>& inputs, const std::vector<std::string>& outputs,
                        int samples = 64) const;
  // The values of a tensor after forward (and backward, if there is one) on the given device.
  std::vector<double> result(Device device, DType activation, const std::string& name) const;

 private:
  enum class Role { activation, parameter, index, output, output_f32, statistic, index_output };
  struct Entry {
    std::string name;
    Shape shape;
    Role role;
    Fill fill;
    std::vector<int64_t> values;
    DType dtype = DType::f32;
  };
  struct World;
  OpCase& add(Entry entry);
  void populate(World& world, DType activation) const;
  void compare(Device device, DType activation, int64_t reduction, double slack) const;

  std::vector<Entry> entries_;
  Run forward_, backward_;
};

// Read and write the elements of a host tensor of any floating-point or integer dtype.
std::vector<double> values_of(Tensor tensor);
void set_values(Tensor tensor, const std::vector<double>& values);
// max |a - e| / (|e| + rms(e)), where the rms is at least 0.02; 0 if there are no elements. The inputs of a case should
// be of order one.
double scaled_error(const std::vector<double>& actual, const std::vector<double>& expected);

}  // namespace birkhoff::test
