#include "kernels/core/arena.h"

#include <gtest/gtest.h>

namespace birkhoff {
namespace {

TEST(Arena, GivesAlignedMemoryAndCountsItsPeak) {
  Arena arena{Device{}};
  const auto mark = arena.mark();
  const Tensor a = arena.take(DType::f32, {3, 5});
  const Tensor b = arena.take(DType::bf16, {7});
  EXPECT_EQ(reinterpret_cast<uintptr_t>(a.data) % Arena::kAlignment, 0u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(b.data) % Arena::kAlignment, 0u);
  EXPECT_EQ(arena.used_bytes(), 128u);
  arena.rewind(mark);
  EXPECT_EQ(arena.used_bytes(), 0u);
  EXPECT_EQ(arena.peak_bytes(), 128u);
}

TEST(Arena, GrowsWithoutMovingWhatItGaveAndRewindsAcrossChunks) {
  Arena arena{Device{}, 256};
  const Tensor a = arena.take(DType::f32, {32});
  a.f32()[31] = 7;
  const auto mark = arena.mark();
  const Tensor b = arena.take(DType::f32, {1 << 20});
  b.f32()[(1 << 20) - 1] = 1;
  EXPECT_EQ(a.f32()[31], 7);
  arena.rewind(mark);
  EXPECT_EQ(arena.used_bytes(), 128u);
  arena.reset();
  EXPECT_EQ(arena.used_bytes(), 0u);
}

TEST(Arena, CountsAllThatItGaveAlsoWhatWasReleased) {
  Arena arena(Device{});
  arena.take(DType::f32, {100});
  {
    const ArenaScope scope(arena);
    arena.take(DType::u8, {1});
  }
  EXPECT_EQ(arena.taken_bytes(), 448 + 64u);
  arena.reset();
  arena.take(DType::u8, {64});
  EXPECT_EQ(arena.taken_bytes(), 448 + 2 * 64u);
  EXPECT_EQ(arena.used_bytes(), 64u);
}

TEST(Arena, IsOneBlockAfterAResetThatFollowsARewind) {
  Arena arena{Device{}, 256};
  arena.take(DType::f32, {32});
  const auto mark = arena.mark();
  arena.take(DType::f32, {1 << 20});
  arena.rewind(mark);
  arena.reset();
  const Tensor a = arena.take(DType::f32, {32}), b = arena.take(DType::f32, {1 << 20});
  EXPECT_EQ(b.f32(), a.f32() + 32);
}

TEST(Arena, ReservedGivesTheSameAddressesAfterEveryReset) {
  Arena arena{Device{}};
  arena.reserve(3 << 20);
  const void* first = arena.take(DType::f32, {1 << 18}).data;
  const void* second = arena.take(DType::f32, {1 << 18}).data;
  arena.reset();
  arena.reserve(3 << 20);
  EXPECT_EQ(arena.take(DType::f32, {1 << 18}).data, first);
  EXPECT_EQ(arena.take(DType::f32, {1 << 18}).data, second);
}

TEST(Arena, OnMetaCountsTheSameBytesWithoutMemory) {
  Arena meta{Device{DeviceKind::meta}}, cpu{Device{}};
  for (Arena* arena : {&meta, &cpu}) {
    arena->take(DType::f32, {1000, 3});
    arena->take(DType::bf16, {1, 1});
  }
  EXPECT_EQ(meta.peak_bytes(), cpu.peak_bytes());
  EXPECT_EQ(meta.take(DType::f32, {4}).data, nullptr);
}

TEST(Arena, OnReferenceTurnsFloatsIntoDoubles) {
  Arena arena{Device{DeviceKind::reference}};
  EXPECT_EQ(arena.take(DType::bf16, {2}).dtype, DType::f64);
  EXPECT_EQ(arena.take(DType::i32, {2}).dtype, DType::i32);
}

}  // namespace
}  // namespace birkhoff
