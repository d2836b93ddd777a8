#include "trainer/checkpoint/rank_layout.h"

#include <gmock/gmock.h>

#include "data/hdf5/file.h"
#include "tests/support/temp_dir.h"

namespace birkhoff {
namespace {

Piece piece(const std::string& name, DType dtype, int64_t count) {
  Piece p;
  p.name = name;
  p.data.dtype = dtype;
  p.data.shape = Shape{count};
  p.slice = Slice::all(p.data.shape);
  return p;
}

class RankLayoutTest : public testing::Test {
 protected:
  // Writes a file with this layout and compares what HDF5 finds in it with the pieces.
  void expect_file_of(const std::vector<Piece>& pieces) {
    layout_.fit(pieces);
    const auto path = dir_ / "f.h5";
    {
      const BulkFile out = BulkFile::create(path);
      out.reserve(layout_.bytes());
      layout_.copy_to(out);
    }
    const H5File file = H5File::open(path);
    ASSERT_EQ(layout_.places().size(), pieces.size());
    for (size_t i = 0; i < pieces.size(); ++i) {
      const H5Dataset found = file.root().dataset(pieces[i].name);
      EXPECT_EQ(found.dtype, pieces[i].data.dtype);
      EXPECT_EQ(found.shape, pieces[i].data.shape);
      EXPECT_EQ(found.offset, layout_.places()[i].offset);
    }
    EXPECT_EQ(file.root().names().size(), pieces.size());
  }

  const TempDir dir_;
  RankLayout layout_;
};

TEST_F(RankLayoutTest, HasTheDatasetsOfThePieces) {
  expect_file_of({piece("a", DType::f32, 5), piece("b", DType::bf16, 0), piece("c", DType::f64, 1000)});
}

TEST_F(RankLayoutTest, IsKeptForTheSamePiecesAndMadeAnewForOthers) {
  const std::vector<Piece> pieces{piece("a", DType::f32, 5), piece("b", DType::f32, 7)};
  layout_.fit(pieces);
  const H5Dataset* kept = layout_.places().data();
  layout_.fit(pieces);
  EXPECT_EQ(layout_.places().data(), kept);
  expect_file_of({pieces[0]});
  expect_file_of({piece("a", DType::f32, 6)});
  expect_file_of({piece("a", DType::i32, 6)});
  expect_file_of({piece("b", DType::i32, 6)});
  expect_file_of(pieces);
  expect_file_of({});
}

TEST_F(RankLayoutTest, CanBeMadeAfterAFailedAttempt) {
  EXPECT_THROW(layout_.fit({piece("a", DType::f32, 5), piece("a", DType::f32, 5)}), DataError);
  expect_file_of({piece("a", DType::f32, 5)});
}

}  // namespace
}  // namespace birkhoff
