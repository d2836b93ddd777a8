#include "tests/parallel/comm/collective_suite.h"

#include <cstring>
#include <numeric>
#include <vector>

#include <gmock/gmock.h>

#include "kernels/core/error.h"
#include "parallel/comm/agree.h"
#include "tests/support/host_stream.h"

namespace birkhoff {
namespace {

// Odd, and larger than a block of any transport, so that several rounds are needed.
constexpr int64_t kLarge = 1'300'001;

template <class T>
Tensor tensor_of(std::vector<T>& v) {
  return {v.data(), kDTypeOf<T>, {static_cast<int64_t>(v.size())}};
}
template <class T>
Tensor tensor_of(std::vector<T>& v, int64_t begin, int64_t count) {
  return tensor_of(v).flat(begin, count);
}

// The elements that `rank` contributes. They have mixed signs and sizes, so that sums in another order give other bits.
template <class T>
T element(int rank, int64_t i) {
  const auto bits =
      static_cast<uint64_t>(i) * 0x9e3779b97f4a7c15u + static_cast<uint64_t>(rank + 1) * 0xbf58476d1ce4e5b9u;
  const auto mixed = static_cast<int64_t>((bits ^ (bits >> 29)) >> 20);
  if constexpr (std::is_integral_v<T>) return static_cast<T>(mixed % 100);
  const float value = static_cast<float>(mixed % 20011 - 10005) * (mixed % 3 ? 1e-3f : 1.0f);
  return static_cast<T>(value);
}

template <class T>
std::vector<T> elements(int rank, int64_t count) {
  std::vector<T> v(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) v[static_cast<size_t>(i)] = element<T>(rank, i);
  return v;
}

template <class T>
T serial(Reduce reduce, int ranks, int64_t i) {
  using A = std::conditional_t<std::is_same_v<T, bfloat16>, float, T>;
  auto add = [reduce](A sum, A next) {
    if (reduce == Reduce::max) return std::max(sum, next);
    if (reduce == Reduce::min) return std::min(sum, next);
    return static_cast<A>(sum + next);
  };
  auto of_ranks = [&](int begin, int end) {
    A sum = element<T>(begin, i);
    for (int r = begin + 1; r < end; ++r) sum = add(sum, element<T>(r, i));
    return static_cast<T>(sum);
  };
  const int host = ranks_per_host > 0 ? ranks_per_host : ranks;
  A sum = of_ranks(0, std::min(host, ranks));
  for (int r = host; r < ranks; r += host) sum = add(sum, of_ranks(r, std::min(r + host, ranks)));
  return static_cast<T>(sum);
}

template <class T>
bool same_bits(const T& a, const T& b) {
  return std::memcmp(&a, &b, sizeof(T)) == 0;
}

template <class T>
void expect_reduced(const std::vector<T>& got, Reduce reduce, int ranks, int64_t begin) {
  for (size_t i = 0; i < got.size(); ++i) {
    const T expected = serial<T>(reduce, ranks, begin + static_cast<int64_t>(i));
    ASSERT_TRUE(same_bits(got[i], expected))
        << name_of(reduce) << " of " << kDTypeOf<T> << " at " << i << " of " << got.size();
  }
}

// Uneven counts with a zero in them, scaled to about `scale` elements per rank.
std::vector<int64_t> uneven_counts(int ranks, int64_t scale) {
  std::vector<int64_t> counts;
  for (int r = 0; r < ranks; ++r) counts.push_back(r % 3 == 1 ? 0 : scale * (r + 1) / ranks + r);
  return counts;
}
int64_t total(const std::vector<int64_t>& counts) { return std::accumulate(counts.begin(), counts.end(), int64_t{0}); }
int64_t begin_of(const std::vector<int64_t>& counts, int rank) {
  return std::accumulate(counts.begin(), counts.begin() + rank, int64_t{0});
}

template <class Body>
void for_each_dtype(Body body) {
  body.template operator()<float>();
  body.template operator()<bfloat16>();
  body.template operator()<double>();
  body.template operator()<int32_t>();
  body.template operator()<int64_t>();
  body.template operator()<uint8_t>();
}

}  // namespace

void check_all_reduce(Communicator& comm) {
  for_each_dtype([&]<class T>() {
    for (const Reduce reduce : {Reduce::sum, Reduce::max, Reduce::min}) {
      for (const int64_t count : {int64_t{0}, int64_t{1}, int64_t{7}, int64_t{40'003}}) {
        auto v = elements<T>(comm.rank(), count);
        wait_on_host(comm.all_reduce(host_stream(), tensor_of(v), reduce));
        expect_reduced(v, reduce, comm.size(), 0);
      }
    }
  });
  auto large = elements<float>(comm.rank(), kLarge);
  wait_on_host(comm.all_reduce(host_stream(), tensor_of(large)));
  expect_reduced(large, Reduce::sum, comm.size(), 0);
}

void check_all_gather(Communicator& comm) {
  for_each_dtype([&]<class T>() {
    for (const int64_t scale : {int64_t{0}, int64_t{5}, int64_t{3001}, kLarge / 3}) {
      const auto counts = uneven_counts(comm.size(), scale);
      const int64_t mine = counts[static_cast<size_t>(comm.rank())], begin = begin_of(counts, comm.rank());
      auto shard = elements<T>(comm.rank(), mine);
      std::vector<T> out(static_cast<size_t>(total(counts))), in_place(out.size());
      std::copy(shard.begin(), shard.end(), in_place.begin() + begin);
      wait_on_host(comm.all_gather_v(host_stream(), tensor_of(out), tensor_of(shard), counts));
      wait_on_host(comm.all_gather_v(host_stream(), tensor_of(in_place), tensor_of(in_place, begin, mine), counts));
      size_t at = 0;
      for (int r = 0; r < comm.size(); ++r) {
        for (int64_t i = 0; i < counts[static_cast<size_t>(r)]; ++i, ++at) {
          ASSERT_TRUE(same_bits(out[at], element<T>(r, i))) << kDTypeOf<T> << " of rank " << r << " at " << i;
          ASSERT_TRUE(same_bits(in_place[at], out[at]));
        }
      }
    }
  });
}

void check_reduce_scatter(Communicator& comm) {
  for_each_dtype([&]<class T>() {
    for (const int64_t scale : {int64_t{0}, int64_t{5}, int64_t{3001}, kLarge / 3}) {
      const auto counts = uneven_counts(comm.size(), scale);
      const int64_t mine = counts[static_cast<size_t>(comm.rank())], begin = begin_of(counts, comm.rank());
      auto in = elements<T>(comm.rank(), total(counts));
      auto in_place = in;
      std::vector<T> shard(static_cast<size_t>(mine));
      wait_on_host(comm.reduce_scatter_v(host_stream(), tensor_of(shard), tensor_of(in), counts));
      wait_on_host(comm.reduce_scatter_v(host_stream(), tensor_of(in_place, begin, mine), tensor_of(in_place), counts));
      expect_reduced(shard, Reduce::sum, comm.size(), begin);
      std::copy_n(in_place.begin() + begin, mine, shard.begin());
      expect_reduced(shard, Reduce::sum, comm.size(), begin);
      ASSERT_TRUE(std::equal(in.begin(), in.begin() + begin, in_place.begin())) << "only the own block may change";
    }
  });
}

void check_all_to_all(Communicator& comm) {
  // The number of elements that rank a sends to rank b differs from pair to pair; some numbers are zero.
  const auto count_of = [](int from, int to, int64_t scale) { return int64_t{(from + 2 * to) % 4} * scale; };
  for_each_dtype([&]<class T>() {
    for (const int64_t scale : {int64_t{0}, int64_t{1}, int64_t{333}, int64_t{120'011}}) {
      std::vector<int64_t> in_counts, out_counts;
      for (int r = 0; r < comm.size(); ++r) {
        in_counts.push_back(count_of(comm.rank(), r, scale));
        out_counts.push_back(count_of(r, comm.rank(), scale));
      }
      auto in = elements<T>(comm.rank(), total(in_counts));
      std::vector<T> out(static_cast<size_t>(total(out_counts)));
      wait_on_host(comm.all_to_all_v(host_stream(), tensor_of(out), out_counts, tensor_of(in), in_counts));
      size_t at = 0;
      for (int r = 0; r < comm.size(); ++r) {
        int64_t begin = 0;
        for (int to = 0; to < comm.rank(); ++to) begin += count_of(r, to, scale);
        for (int64_t i = 0; i < out_counts[static_cast<size_t>(r)]; ++i, ++at) {
          ASSERT_TRUE(same_bits(out[at], element<T>(r, begin + i))) << kDTypeOf<T> << " of rank " << r << " at " << i;
        }
      }
    }
  });
}

void check_broadcast(Communicator& comm) {
  for (int root = 0; root < comm.size(); ++root) {
    for (const int64_t count : {int64_t{0}, int64_t{1}, int64_t{4099}, kLarge}) {
      auto v = elements<int32_t>(comm.rank(), count);
      wait_on_host(comm.broadcast(host_stream(), tensor_of(v), root));
      EXPECT_EQ(v, elements<int32_t>(root, count));
    }
  }
}

void check_messages(Communicator& comm) {
  const int next = (comm.rank() + 1) % comm.size(), previous = (comm.rank() + comm.size() - 1) % comm.size();
  for (const int64_t count : {int64_t{0}, int64_t{1}, int64_t{70'001}}) {
    auto first = elements<float>(comm.rank(), count), second = elements<float>(comm.rank() + 100, count);
    std::vector<float> got_first(first.size()), got_second(first.size());
    // Received in the opposite order: messages match by tag, not by the order of sending.
    auto send_a = comm.send(host_stream(), tensor_of(first), next, 1),
         send_b = comm.send(host_stream(), tensor_of(second), next, 2);
    wait_on_host(comm.recv(host_stream(), tensor_of(got_second), previous, 2));
    wait_on_host(comm.recv(host_stream(), tensor_of(got_first), previous, 1));
    wait_on_host(std::move(send_a));
    wait_on_host(std::move(send_b));
    EXPECT_EQ(got_first, elements<float>(previous, count));
    EXPECT_EQ(got_second, elements<float>(previous + 100, count));
  }
}

void check_concurrent_works(Communicator& comm) {
  constexpr int kWorks = 20;
  std::vector<std::vector<float>> buffers;
  std::vector<Communicator::Pending> works;
  const auto other = comm.split(0, 0, "other");
  for (int i = 0; i < kWorks; ++i) buffers.push_back(elements<float>(comm.rank(), 1000 * i + 1));
  for (int i = 0; i < kWorks; ++i) {
    works.push_back((i % 2 ? comm : *other).all_reduce(host_stream(), tensor_of(buffers[static_cast<size_t>(i)])));
    comm.progress();
  }
  // Ranks wait in different orders; this works because waiting for one operation drives all.
  for (int i = 0; i < kWorks; ++i) {
    wait_on_host(std::move(works[static_cast<size_t>((i + 7 * comm.rank()) % kWorks)]));
  }
  for (const auto& buffer : buffers) expect_reduced(buffer, Reduce::sum, comm.size(), 0);
}

void check_split(Communicator& comm) {
  // Splits even from odd ranks, each in reverse order.
  const auto half = comm.split(comm.rank() % 2, -comm.rank(), "half");
  EXPECT_EQ(half->name(), "half");
  EXPECT_EQ(half->size(), (comm.size() + 1 - comm.rank() % 2) / 2);
  std::vector<int32_t> mine{comm.rank()}, all(static_cast<size_t>(half->size()));
  wait_on_host(half->all_gather_v(host_stream(), tensor_of(all), tensor_of(mine), std::vector<int64_t>(all.size(), 1)));
  for (size_t i = 0; i < all.size(); ++i) {
    EXPECT_EQ(all[i] % 2, comm.rank() % 2);
    EXPECT_TRUE(i == 0 || all[i] < all[i - 1]);
  }
  EXPECT_EQ(all[static_cast<size_t>(half->rank())], comm.rank());
  check_broadcast(*half);
  check_messages(*half);
}

void check_agree(Communicator& comm) {
  agree(comm, true, "not said");
  require_same(comm, "the config", "a: 1");
  const auto expect = [&](int failing, const std::function<void()>& body, auto expected) {
    using E = decltype(expected);
    try {
      agree(comm, body);
      ADD_FAILURE() << "rank " << comm.rank() << " did not learn of the failure";
    } catch (const E& e) {
      EXPECT_EQ(std::string(e.what()), comm.size() == 1 ? "broken" : concat("rank ", failing, ": broken"));
      EXPECT_TRUE(is_agreed(e));
    }
  };
  const int last = comm.size() - 1;
  expect(
      last,
      [&] {
        if (comm.rank() == last) throw DataError("broken");
      },
      DataError(""));
  expect(
      0, [&] { throw UserError(comm.rank() == 0 ? "broken" : "also broken"); }, UserError(""));
  try {
    agree(comm, [] { throw UserError("broken everywhere"); });
    ADD_FAILURE() << "rank " << comm.rank() << " did not learn of the failure";
  } catch (const UserError& e) {
    EXPECT_EQ(std::string(e.what()), "broken everywhere");
  }
  if (comm.size() == 1) return;
  try {
    require_same(comm, "the config", comm.rank() == last ? "a: 2" : "a: 1");
    ADD_FAILURE() << "the difference went unseen";
  } catch (const UserError& e) {
    EXPECT_EQ(std::string(e.what()), concat("rank ", last, ": the config differs: 'a: 2' here, 'a: 1' on rank 0"));
  }
}

}  // namespace birkhoff
