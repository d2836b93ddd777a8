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

void embedding_forward(Stream& stream, const EmbeddingArgs& a) {
  BK_CHECK(a.table.shape.rank() == 2 && a.y.shape == (Shape{a.ids.count(), a.table.shape[1]}), "embedding: y is ",
           a.y.shape, ", table is ", a.table.shape, ", ids is ", a.ids.shape);
  OpScope scope(stream, "embedding");
  BK_DISPATCH_HOST(stream, embedding_forward, a);
}

void embedding_backward(Stream& stream, const EmbeddingBackwardArgs& a) {
  BK_CHECK(a.dtable.shape.rank() == 2 && a.dy.shape == (Shape{a.ids.count(), a.dtable.shape[1]}), "embedding: dy is ",
           a.dy.shape, ", dtable is ", a.dtable.shape, ", ids is ", a.ids.shape);
  OpScope scope(stream, "embedding_backward");
  BK_DISPATCH_HOST(stream, embedding_backward, a);
}

}  // namespace birkhoff
