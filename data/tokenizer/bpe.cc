#include "data/tokenizer/bpe.h"

#include <algorithm>
#include <queue>

#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/unicode.h"
#include "kernels/core/error.h"

namespace birkhoff {
namespace {

uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

void refuse_unless_empty(const Json& json, const char* field) {
  const auto found = json.find(field);
  const bool empty = found == json.end() || found->is_null() || *found == "" || *found == 0.0;
  BK_CHECK(empty, "the tokenizer file asks for ", field, " ", json_excerpt(*found), ", which is not supported");
}

// "a b" or ["a", "b"].
std::pair<std::string, std::string> merge_from_json(const Json& merge) {
  const bool is_pair = merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string();
  if (is_pair) return {merge[0], merge[1]};
  const std::string text = merge.is_string() ? merge.get<std::string>() : "";
  const size_t space = text.find(' ');
  BK_CHECK(space != std::string::npos && text.find(' ', space + 1) == std::string::npos,
           "a merge of the tokenizer file must be \"a b\" or [\"a\", \"b\"], not ", json_excerpt(merge));
  return {text.substr(0, space), text.substr(space + 1)};
}

// A word while it is being merged: its symbols as a linked list, and a heap of merges that were possible when they were
// added. Merging one pair can invalidate entries of its neighbors; they are recognized when they reach the top.
struct Symbol {
  int32_t id, previous, next;
};
struct Candidate {
  int32_t rank, position, id;
  bool operator>(const Candidate& other) const {
    return rank != other.rank ? rank > other.rank : position > other.position;
  }
};

}  // namespace

struct Bpe::Work {
  std::vector<Symbol> symbols;
  std::vector<Candidate> heap;
  bool pending_unknown = false;

  void clear() {
    symbols.clear();
    heap.clear();
    pending_unknown = false;
  }
  void add(int32_t id) {
    const auto at = static_cast<int32_t>(symbols.size());
    symbols.push_back({id, at - 1, at + 1});
  }
};

Bpe Bpe::from_json(const Json& json, Symbols symbols) {
  allow_fields(json, "the model",
               {"type", "dropout", "unk_token", "continuing_subword_prefix", "end_of_word_suffix", "fuse_unk",
                "byte_fallback", "ignore_merges", "vocab", "merges"});
  // Older files have no type. Of the model types, only BPE has merges.
  const std::string type = json.contains("type") ? json_type(json, "the model") : json.contains("merges") ? "BPE" : "?";
  BK_CHECK(type == "BPE", "the tokenizer file has a model of type ", type, ", which is not supported; BPE is");
  for (const char* field : {"dropout", "continuing_subword_prefix", "end_of_word_suffix"}) {
    refuse_unless_empty(json, field);
  }
  Bpe bpe;
  bpe.symbols_ = symbols;
  bpe.fuse_unknown_ = json_flag(json, "fuse_unk", false);
  bpe.byte_fallback_ = json_flag(json, "byte_fallback", false);
  bpe.ignore_merges_ = json_flag(json, "ignore_merges", false);
  bpe.read_vocabulary(json);
  bpe.read_merges(json_list(json, "merges", "the model"));
  return bpe;
}

void Bpe::read_vocabulary(const Json& json) {
  const Json& vocabulary = json_field(json, "vocab", "the model");
  BK_CHECK(vocabulary.is_object(), "the vocab of the tokenizer file must be an object, not ", vocabulary.type_name());
  for (const auto& item : vocabulary.items()) {
    vocabulary_.emplace(item.key(), json_token_id(item.value(), "the token " + item.key()));
  }
  const auto id_of = [&](const std::string& token) {
    const auto found = vocabulary_.find(token);
    return found == vocabulary_.end() ? -1 : found->second;
  };
  if (json.contains("unk_token") && !json["unk_token"].is_null()) {
    const std::string token = json_text(json, "unk_token", "the model");
    BK_CHECK(id_of(token) >= 0, "the unk_token ", token, " of the tokenizer file is not in its vocabulary");
    unknown_ = id_of(token);
  }
  byte_ids_.resize(256);
  for (int b = 0; b < 256; ++b) {
    static constexpr char kHex[] = "0123456789ABCDEF";
    byte_ids_[b] = symbols_ == Symbols::bytes ? id_of(byte_characters()[b])
                                              : id_of(concat("<0x", kHex[b / 16], kHex[b % 16], ">"));
    BK_CHECK(symbols_ == Symbols::characters || byte_ids_[b] >= 0 || unknown_,
             "the vocabulary of the tokenizer file lacks the byte ", b, ", which byte-level text may hold");
  }
}

void Bpe::read_merges(const Json& json) {
  merges_.reserve(json.size());
  int32_t rank = 0;
  for (const Json& merge : json) {
    const auto [left, right] = merge_from_json(merge);
    const auto a = vocabulary_.find(left), b = vocabulary_.find(right), ab = vocabulary_.find(left + right);
    BK_CHECK(a != vocabulary_.end() && b != vocabulary_.end() && ab != vocabulary_.end(), "the tokenizer file merges ",
             left, " and ", right, ", but its vocabulary lacks one of them or the result");
    merges_[pair_key(a->second, b->second)] = {rank++, ab->second};
  }
}

const Bpe::Merge* Bpe::merge_of(int32_t left, int32_t right) const {
  const auto found = merges_.find(pair_key(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

void Bpe::encode(std::string_view word, std::vector<int32_t>& ids) const {
  if (ignore_merges_) {
    const auto whole = symbols_ == Symbols::bytes ? vocabulary_.find(to_byte_level(word)) : vocabulary_.find(word);
    if (whole != vocabulary_.end()) {
      ids.push_back(whole->second);
      return;
    }
  }
  // Kept between calls, so that encoding a word does not allocate.
  thread_local Work work;
  work.clear();
  for (size_t at = 0; at < word.size();) {
    const size_t begin = at;
    if (symbols_ == Symbols::bytes) {
      ++at;
    } else {
      next_code_point(word, at);
    }
    add_symbol(word.substr(begin, at - begin), work);
  }
  if (work.pending_unknown) work.add(*unknown_);
  merge_all(work, ids);
}

void Bpe::add_symbol(std::string_view symbol, Work& work) const {
  int32_t id = -1;
  if (symbols_ == Symbols::bytes) {
    id = byte_ids_[static_cast<uint8_t>(symbol[0])];
  } else if (const auto found = vocabulary_.find(symbol); found != vocabulary_.end()) {
    id = found->second;
  }
  if (id >= 0) {
    if (work.pending_unknown) work.add(*unknown_);
    work.pending_unknown = false;
    work.add(id);
    return;
  }
  const auto known = [&](char b) { return byte_ids_[static_cast<uint8_t>(b)] >= 0; };
  if (byte_fallback_ && symbols_ == Symbols::characters && std::all_of(symbol.begin(), symbol.end(), known)) {
    for (const char b : symbol) work.add(byte_ids_[static_cast<uint8_t>(b)]);
    return;
  }
  if (!unknown_) return;
  // An unknown symbol is held back, so that with fuse_unk a run of them becomes one unk_token.
  if (work.pending_unknown && !fuse_unknown_) work.add(*unknown_);
  work.pending_unknown = true;
}

void Bpe::merge_all(Work& work, std::vector<int32_t>& ids) const {
  auto& symbols = work.symbols;
  auto& heap = work.heap;
  const auto size = static_cast<int32_t>(symbols.size());
  const auto propose = [&](int32_t left) {
    if (left < 0 || symbols[left].next >= size) return;
    const Merge* merge = merge_of(symbols[left].id, symbols[symbols[left].next].id);
    if (!merge) return;
    heap.push_back({merge->rank, left, merge->id});
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  };
  for (int32_t i = 0; i + 1 < size; ++i) propose(i);
  while (!heap.empty()) {
    const Candidate best = heap.front();
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    heap.pop_back();
    Symbol& left = symbols[best.position];
    if (left.id < 0 || left.next >= size) continue;
    const Merge* merge = merge_of(left.id, symbols[left.next].id);
    if (!merge || merge->id != best.id) continue;  // stale: one of the two symbols has been merged since
    // The left symbol becomes the merged one. The right one leaves the list, marked by -1 for heap entries that refer
    // to it.
    symbols[left.next].id = -1;
    left.id = best.id;
    left.next = symbols[left.next].next;
    if (left.next < size) symbols[left.next].previous = best.position;
    propose(left.previous);
    propose(best.position);
  }
  for (int32_t i = 0; i < size; i = symbols[i].next) ids.push_back(symbols[i].id);
}

}  // namespace birkhoff
