#include "data/tokenizer/compression.h"

#include <algorithm>
#include <iostream>

#include <gmock/gmock.h>

#include "data/tokenizer/sha256.h"
#include "data/tokenizer/trainer.h"
#include "tests/support/vectors.h"

namespace birkhoff::test {
namespace {

TEST(Sha256, MatchesThePublishedExamples) {
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  EXPECT_EQ(sha256_hex(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

// Encodes a list of code points such as "0x61" in UTF-8.
std::string utf8(const nlohmann::json& codepoints) {
  std::string out;
  for (const auto& item : codepoints) {
    const auto c = static_cast<uint32_t>(std::stoul(item.get<std::string>(), nullptr, 16));
    const int more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    constexpr uint32_t kLead[] = {0, 0xc0, 0xe0, 0xf0};
    out += static_cast<char>(kLead[more] | c >> 6 * more);
    for (int k = more - 1; k >= 0; --k) out += static_cast<char>(0x80 | (c >> 6 * k & 0x3f));
  }
  return out;
}

// Rows marked "risky" depend on the version of Unicode: they are reported but not required to match.
TEST(EngramNormalizerVectors, GiveTheExpectedKeys) {
  for_each_vector_file("engram_normalizer", [](const nlohmann::json& file) {
    int risky = 0, risky_equal = 0;
    for (const auto& row : file.at("rows")) {
      const std::string text = row.at("text"), key = row.at("key");
      if (row.contains("key_codepoints")) {
        EXPECT_EQ(utf8(row.at("key_codepoints")), key);
      }
      if (row.value("risky", false)) {
        ++risky;
        risky_equal += engram_key(text) == key;
      } else {
        EXPECT_EQ(engram_key(text), key) << testing::PrintToString(text);
      }
    }
    testing::Test::RecordProperty("risky_rows", risky);
    testing::Test::RecordProperty("risky_rows_equal", risky_equal);
    std::cout << "risky rows: " << risky_equal << " of " << risky << " equal\n";
  });
}

TEST(TokenizerCompression, JoinsTokensOfOneMeaningInOrderOfAppearance) {
  TokenizerTrainer trainer({261, 1, "gpt2", {"<|endoftext|>"}});
  trainer.feed("the the The THE ");
  const Tokenizer tokenizer = trainer.train();
  const TokenizerCompression compression = compress_tokenizer(tokenizer);
  const auto at = [&](const std::string& token) { return compression.map.at(tokenizer.id_of(token).value()); };
  EXPECT_EQ(compression.map.size(), static_cast<size_t>(tokenizer.vocab_size()));
  EXPECT_EQ(compression.map[0], 0);
  EXPECT_EQ(compression.map[1], 1);
  EXPECT_EQ(at("A"), at("a"));
  EXPECT_EQ(at("\u0120"), at("\u010a"));  // space and newline
  EXPECT_NE(at("\u00c3"), at("\u00c4"));  // single bytes of longer characters keep their spelling
  EXPECT_EQ(compression.compressed_size, *std::max_element(compression.map.begin(), compression.map.end()) + 1);
  // Ids that are merged into others: the 26 capital letters; tab, line feed and carriage return, which are merged with
  // the space; and " T" and HE, the last two of the four merges (he, the, " T", HE).
  EXPECT_EQ(at("HE"), at("he"));
  EXPECT_EQ(at("\u0120T"), at("t"));
  EXPECT_EQ(compression.compressed_size, tokenizer.vocab_size() - 26 - 3 - 2);
}

TEST(TokenizerCompression, HashesTheMapInBothWidths) {
  const TokenizerCompression compression{{0, 1, -1}, 2};
  using std::string_literals::operator""s;
  EXPECT_EQ(compression.sha256_int32(), sha256_hex("\0\0\0\0\1\0\0\0\xff\xff\xff\xff"s));
  EXPECT_EQ(compression.sha256_int64(),
            sha256_hex("\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff"s));
}

}  // namespace
}  // namespace birkhoff::test
