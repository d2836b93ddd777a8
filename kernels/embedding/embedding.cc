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

template <class Args>
void check(Tensor table, Tensor rows, const Args& a) {
  const Tensor& ids = a.ids;
  BK_CHECK(table.shape.rank() == 2 && rows.shape.back() == table.shape[1], "embedding: table is ", table.shape,
           ", rows are ", rows.shape);
  BK_CHECK(ids.dtype == DType::i32 && ids.count() == rows.shape.rows(), "embedding: ids are ", ids.dtype, ids.shape,
           ", expected i32 [", rows.shape.rows(), "]");
  const int64_t V = table.shape[0], vocabulary = a.vocabulary == 0 ? V : a.vocabulary;
  BK_CHECK(a.first >= 0 && a.first + V <= vocabulary, "embedding: the table has the rows ", a.first, " to ",
           a.first + V - 1, " of a vocabulary of ", vocabulary);
}

}  // namespace

void embedding_forward(Stream& stream, const EmbeddingArgs& a) {
  check(a.table, a.y, a);
  OpScope scope(stream, "embedding");
  BK_DISPATCH_HOST(stream, embedding_forward, a);
}

void embedding_backward(Stream& stream, const EmbeddingBackwardArgs& a) {
  check(a.dtable, a.dy, a);
  OpScope scope(stream, "embedding_backward");
  BK_DISPATCH_HOST(stream, embedding_backward, a);
}

}  // namespace birkhoff
