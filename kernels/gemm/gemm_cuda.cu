// cuBLASLt is column-major and computes C^T = op(B)^T op(A)^T. A row-major matrix read as column-major is already its
// transpose. So the operands change places and keep their transpose flags.
#include <map>
#include <memory>
#include <tuple>

#include "kernels/core/cuda/kernel.cuh"
#include "kernels/core/cuda_memory.h"
#include "kernels/gemm/alignment.h"
#include "kernels/gemm/shapes.h"

namespace birkhoff::cuda {
namespace {

constexpr size_t kWorkspaceBytes = size_t{32} << 20;  // NVIDIA's recommendation for Hopper

// An opaque handle of cuBLASLt with its destructor.
template <class T, cublasStatus_t (*destroy)(T)>
struct Handle {
  T value = nullptr;
  Handle() = default;
  ~Handle() {
    if (value) destroy(value);
  }
  Handle(const Handle&) = delete;
  Handle& operator=(const Handle&) = delete;
};
using Operation = Handle<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Layout = Handle<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Preference = Handle<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

cudaDataType_t type_of(DType dtype) { return dtype == DType::bf16 ? CUDA_R_16BF : CUDA_R_32F; }

// Describes a row-major operand as a column-major matrix with rows and columns exchanged.
void describe(Layout& layout, Tensor t) {
  check(cublasLtMatrixLayoutCreate(&layout.value, type_of(t.dtype), static_cast<uint64_t>(t.shape.back()),
                                   static_cast<uint64_t>(t.shape.rows()), t.shape.back()));
}

void set(const Preference& preference, cublasLtMatmulPreferenceAttributes_t attribute, uint32_t value) {
  check(cublasLtMatmulPreferenceSetAttribute(preference.value, attribute, &value, sizeof(value)));
}

// The descriptors of products of one shape and alignment, and the algorithm chosen for them. cuBLASLt's A is our b.
struct Plan {
  Operation operation;
  Layout a, b, c;
  cublasLtMatmulAlgo_t algorithm;

  Plan(cublasLtHandle_t handle, const GemmArgs& args, const GemmAlignment& alignment) {
    const cublasOperation_t op_a = args.transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N;
    const cublasOperation_t op_b = args.transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N;
    check(cublasLtMatmulDescCreate(&operation.value, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    check(cublasLtMatmulDescSetAttribute(operation.value, CUBLASLT_MATMUL_DESC_TRANSA, &op_b, sizeof(op_b)));
    check(cublasLtMatmulDescSetAttribute(operation.value, CUBLASLT_MATMUL_DESC_TRANSB, &op_a, sizeof(op_a)));
    describe(a, args.a);
    describe(b, args.b);
    describe(c, args.c);
    Preference preference;
    check(cublasLtMatmulPreferenceCreate(&preference.value));
    check(cublasLtMatmulPreferenceSetAttribute(preference.value, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
                                               &kWorkspaceBytes, sizeof(kWorkspaceBytes)));
    set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, alignment[1]);
    set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, alignment[0]);
    set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, alignment[2]);
    set(preference, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, alignment[2]);
    cublasLtMatmulHeuristicResult_t best;
    int found = 0;
    check(cublasLtMatmulAlgoGetHeuristic(handle, operation.value, b.value, a.value, c.value, c.value, preference.value,
                                         1, &best, &found));
    BK_CHECK(found == 1, "gemm: cuBLASLt has no algorithm for ", args.c.dtype, args.c.shape, " = ", args.a.dtype,
             args.a.shape, " x ", args.b.dtype, args.b.shape);
    algorithm = best.algo;
  }
};

using PlanKey = std::tuple<int64_t, int64_t, int64_t, DType, DType, bool, bool, GemmAlignment>;

// The cuBLASLt state of one stream. Two streams cannot share a workspace because their products may run at the same
// time.
class BlasContext {
 public:
  explicit BlasContext(Device device) : device_(device) {
    check(cudaSetDevice(device.index));
    check(cublasLtCreate(&handle_.value));
    workspace_ = allocate(device, kWorkspaceBytes);
  }
  ~BlasContext() { release(device_, workspace_); }
  BlasContext(const BlasContext&) = delete;
  BlasContext& operator=(const BlasContext&) = delete;

  void multiply(Stream& stream, const GemmArgs& args) {
    const GemmSizes s = sizes_of(args);
    const GemmAlignment alignment = alignment_of(args);
    const PlanKey key{s.M, s.N, s.K, args.a.dtype, args.c.dtype, args.transpose_a, args.transpose_b, alignment};
    std::unique_ptr<Plan>& plan = plans_[key];
    if (!plan) plan = std::make_unique<Plan>(handle_.value, args, alignment);
    const float one = 1, beta = args.accumulate ? 1 : 0;
    check(cublasLtMatmul(handle_.value, plan->operation.value, &one, args.b.data, plan->b.value, args.a.data,
                         plan->a.value, &beta, args.c.data, plan->c.value, args.c.data, plan->c.value, &plan->algorithm,
                         workspace_, kWorkspaceBytes, handle_of(stream)));
  }

 private:
  Device device_;
  Handle<cublasLtHandle_t, cublasLtDestroy> handle_;
  void* workspace_ = nullptr;
  std::map<PlanKey, std::unique_ptr<Plan>> plans_;
};

// A stream belongs to one thread, so the map is thread-local and needs no lock.
BlasContext& context_of(Stream& stream) {
  thread_local std::map<std::pair<int, void*>, BlasContext> contexts;
  return contexts.try_emplace({stream.device.index, stream.handle}, stream.device).first->second;
}

}  // namespace

void gemm(Stream& stream, const GemmArgs& args) {
  check(cudaSetDevice(stream.device.index));
  context_of(stream).multiply(stream, args);
}

}  // namespace birkhoff::cuda
