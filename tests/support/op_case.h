#pragma once
// One op, tested in three ways from one description: the cpu kernel against the f64 reference in f32 and bf16, and the
// reference's backward against central differences of its forward.
//
//   OpCase c;
//   c.activation("x", {T, C}).parameter("gain", {C}).output("y", {T, C}).statistic_output("rstd", {T});
//   c.forward([](Stream& s, const Tensors& t) { rmsnorm_forward(s, {t["y"], t["rstd"], t["x"], t["gain"], 1e-6f}); });
//   c.backward([](Stream& s, const Tensors& t) { ...reads t["d_y"], writes t["d_x"], adds to t["d_gain"]... });
//   c.expect_cpu_equals_reference(C);
//   c.expect_gradients({"x", "gain"}, {"y"});
//
// For a case with backward(), a gradient tensor "d_NAME" exists for every floating input and output: zero for inputs
// (activation gradients are overwritten, parameter gradients added to), random for outputs.
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "kernels/core/arena.h"
#include "kernels/core/stream.h"
#include "kernels/core/tensor.h"

namespace birkhoff::test {

// Named tensors of one run. An unknown name gives an absent tensor, so optional arguments need no special case.
class Tensors {
 public:
  Tensor operator[](const std::string& name) const;
  void set(const std::string& name, Tensor tensor) { tensors_[name] = tensor; }

 private:
  std::map<std::string, Tensor> tensors_;
};

// Element values of an input, by flat index. The default is a standard normal keyed by the name.
using Fill = std::function<double(int64_t index)>;
Fill normal(uint64_t key, double std = 1, double mean = 0);
Fill constant(double value);

class OpCase {
 public:
  using Run = std::function<void(Stream&, const Tensors&)>;

  // Inputs. An activation is f32 or bf16 on the cpu device as the run asks; a parameter is f32; both are f64 on
  // reference.
  OpCase& activation(const std::string& name, Shape shape, Fill fill = {});
  OpCase& parameter(const std::string& name, Shape shape, Fill fill = {});
  OpCase& index(const std::string& name, std::vector<int64_t> values, DType dtype = DType::i32, Shape shape = {});
  // Outputs of forward: activations, and f32 statistics, which the backward reads but which carry no gradient.
  OpCase& output(const std::string& name, Shape shape);
  OpCase& output_f32(const std::string& name, Shape shape);
  OpCase& statistic_output(const std::string& name, Shape shape);
  OpCase& index_output(const std::string& name, Shape shape, DType dtype = DType::i32);

  OpCase& forward(Run run);
  OpCase& backward(Run run);

  // Every output and gradient of the cpu device against the reference within bound(dtype, reduction).
  // Outputs whose error is carried through `slack` times more arithmetic may scale the bound.
  void expect_cpu_equals_reference(int64_t reduction, double slack = 1) const;
  // The same of the cuda device. Call it in a test of the fixture CudaTest, which skips itself where there is none.
  void expect_cuda_equals_reference(int64_t reduction, double slack = 1) const;
  // d_INPUT of the reference backward against central differences of sum(outputs * d_outputs), at most `samples`
  // elements of each input.
  void expect_gradients(const std::vector<std::string>& inputs, const std::vector<std::string>& outputs,
                        int samples = 64) const;
  // A named tensor after forward (and backward, if any) on the given device, as doubles.
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

// Elements of a host tensor of any floating or integer dtype.
std::vector<double> values_of(Tensor tensor);
void set_values(Tensor tensor, const std::vector<double>& values);
// max |a - e| / (|e| + rms(e)), the rms at least 0.02; 0 for empty. Inputs of a case should be of order one.
double scaled_error(const std::vector<double>& actual, const std::vector<double>& expected);

}  // namespace birkhoff::test
