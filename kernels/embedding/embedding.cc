#include "kernels/embedding/embedding.h"

#include "kernels/core/dispatch.h"

namespace birkhoff {
namespace cpu {
void embedding_forward(const EmbeddingArgs&);
void embedding_backward(const EmbeddingBackwardArgs&);
}  // namespace cpu
namespace reference {
void embedding_forward(const EmbeddingArgs&);
void embedding_backward(const EmbeddingBackwardArgs&);
}  // namespace reference

namespace {

void check(Tensor table, Tensor rows, Tensor ids) {
  BK_CHECK(table.shape.rank() == 2 && rows.shape.back() == table.shape[1], "embedding: table is ", table.shape,
           ", rows are ", rows.shape);
  BK_CHECK(ids.dtype == DType::i32 && ids.count() == rows.shape.rows(), "embedding: ids are ", ids.dtype, ids.shape,
           ", expected i32 [", rows.shape.rows(), "]");
}

}  // namespace

void embedding_forward(Stream& stream, const EmbeddingArgs& a) {
  check(a.table, a.y, a.ids);
  OpScope scope(stream, "embedding");
  BK_DISPATCH_HOST(stream, embedding_forward, a);
}

void embedding_backward(Stream& stream, const EmbeddingBackwardArgs& a) {
  check(a.dtable, a.dy, a.ids);
  OpScope scope(stream, "embedding_backward");
  BK_DISPATCH_HOST(stream, embedding_backward, a);
}

}  // namespace birkhoff
