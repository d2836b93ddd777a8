#pragma once
// Collectives on values in host memory. Each blocks until the result is available. For device tensors, call
// Communicator directly, with the stream that computed them. A Communicator may pass device tensors on to a
// communication library of the device, but never the host values given to the functions here.
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include "parallel/comm/communicator.h"

namespace birkhoff {

template <class T>
inline constexpr bool kIsNumber = std::is_same_v<T, float> || std::is_same_v<T, double> || std::is_same_v<T, int32_t> ||
                                  std::is_same_v<T, int64_t> || std::is_same_v<T, uint8_t>;

// The values as a host tensor, without conversion. Values that are not numbers become bytes.
template <class T>
Tensor host_tensor(std::span<T> values) {
  static_assert(std::is_trivially_copyable_v<T>);
  using Bare = std::remove_const_t<T>;
  void* data = const_cast<Bare*>(values.data());
  const auto count = static_cast<int64_t>(values.size());
  if constexpr (kIsNumber<Bare>) {
    return {data, kDTypeOf<Bare>, {count}};
  } else {
    return {data, DType::u8, {count * static_cast<int64_t>(sizeof(T))}};
  }
}

// Combines the values of the ranks element by element, in the order that Communicator states.
template <class T, size_t N>
void all_reduce_on_host(Communicator& comm, std::span<T, N> values, Reduce reduce = Reduce::sum,
                        SourceLocation where = SourceLocation::current()) {
  static_assert(kIsNumber<T>);
  Stream host;
  comm.all_reduce(host, host_tensor(std::span<T>(values)), reduce, where)->wait(host);
}
template <class T>
requires kIsNumber<T> T all_reduce_on_host(Communicator& comm, T value, Reduce reduce = Reduce::sum,
                                           SourceLocation where = SourceLocation::current()) {
  all_reduce_on_host(comm, std::span<T>(&value, 1), reduce, where);
  return value;
}

// The values of all ranks, in rank order; rank r gives counts[r] of them.
template <class T>
std::vector<T> all_gather_v_on_host(Communicator& comm, std::span<const T> own, Counts counts,
                                    SourceLocation where = SourceLocation::current()) {
  int64_t total = 0;
  for (const int64_t count : counts) total += count;
  std::vector<T> all(static_cast<size_t>(total));
  const Tensor out = host_tensor(std::span<T>(all)), in = host_tensor(own);
  const int64_t each = total > 0 ? out.count() / total : 1;  // tensor elements per T
  std::vector<int64_t> elements(counts.begin(), counts.end());
  for (int64_t& count : elements) count *= each;
  Stream host;
  comm.all_gather_v(host, out, in, elements, where)->wait(host);
  return all;
}
template <class T>
std::vector<T> all_gather_on_host(Communicator& comm, const T& own, SourceLocation where = SourceLocation::current()) {
  const std::vector<int64_t> ones(static_cast<size_t>(comm.size()), 1);
  return all_gather_v_on_host(comm, std::span<const T>(&own, 1), ones, where);
}

// Copies the values of rank `root` to all ranks.
template <class T, size_t N>
void broadcast_on_host(Communicator& comm, std::span<T, N> values, int root,
                       SourceLocation where = SourceLocation::current()) {
  Stream host;
  comm.broadcast(host, host_tensor(std::span<T>(values)), root, where)->wait(host);
}
template <class T>
requires(kIsNumber<T> || std::is_same_v<T, std::string>) T
    broadcast_on_host(Communicator& comm, T value, int root, SourceLocation where = SourceLocation::current()) {
  if constexpr (std::is_same_v<T, std::string>) {
    value.resize(static_cast<size_t>(broadcast_on_host(comm, static_cast<int64_t>(value.size()), root, where)));
    broadcast_on_host(comm, std::span<uint8_t>(reinterpret_cast<uint8_t*>(value.data()), value.size()), root, where);
  } else {
    broadcast_on_host(comm, std::span<T>(&value, 1), root, where);
  }
  return value;
}

// Sends rank r the next counts[r] elements of `values`, in rank order. Returns what the ranks sent to this one, in rank
// order: out_counts[r] elements from rank r.
template <class T>
std::vector<T> all_to_all_v_on_host(Communicator& comm, Counts out_counts, std::span<const T> values, Counts counts,
                                    SourceLocation where = SourceLocation::current()) {
  static_assert(kIsNumber<T>);
  int64_t total = 0;
  for (const int64_t count : out_counts) total += count;
  std::vector<T> out(static_cast<size_t>(total));
  Stream host;
  comm.all_to_all_v(host, host_tensor(std::span<T>(out)), out_counts, host_tensor(values), counts, where)->wait(host);
  return out;
}

}  // namespace birkhoff
