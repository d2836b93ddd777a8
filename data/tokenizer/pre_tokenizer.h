#pragma once
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/json_fields.h"
#include "data/tokenizer/regex.h"

namespace birkhoff {

// What happens to the matches of a Split. `merged_with_previous` glues a match to what stands before it.
enum class SplitBehavior { isolated, removed, contiguous, merged_with_previous, merged_with_next };

// Cuts text into the words that BPE works on. From a tokenizer.json: ByteLevel (last, if at all), Split, Digits and
// sequences of these; others are refused by name.
class PreTokenizer {
 public:
  // The words of a text. Views into the text, or into `owned` where a space was put in front.
  struct Words {
    std::vector<std::string_view> views;
    std::vector<std::string_view> spare;
    std::deque<std::string> owned;
  };

  static PreTokenizer from_json(const Json& json);  // null: every text is one word

  bool byte_level() const { return byte_level_; }  // words are spelled in bytes, not in characters

  // Replaces `words` by those of the text. A run of bytes that are not UTF-8 is a word.
  void split(std::string_view text, Words& words) const;

 private:
  enum class Kind { split, digits, space };
  struct Step {
    Kind kind;
    std::vector<Regex> pattern;  // of a split: one
    SplitBehavior behavior = SplitBehavior::isolated;
    bool invert = false;
  };

  static void apply(const Step& step, std::string_view word, std::vector<std::string_view>& out);
  void append(const Json& json);
  void append_split(const Json& json);
  void append_byte_level(const Json& json);

  std::vector<Step> steps_;
  bool byte_level_ = false;
};

// The regex of GPT-2, which the ByteLevel pre-tokenizer applies unless told not to.
extern const char* const kGpt2Pattern;

}  // namespace birkhoff
