#pragma once
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "data/tokenizer/json_fields.h"
#include "data/tokenizer/regex.h"

namespace birkhoff {

// What happens to the matches of a Split. `merged_with_previous` joins a match to the text before it,
// `merged_with_next` to the text after it.
enum class SplitBehavior { isolated, removed, contiguous, merged_with_previous, merged_with_next };

// Splits text into the words that BPE encodes. From a tokenizer.json it accepts Split, Digits, ByteLevel (only as the
// last step) and sequences of these. Others are rejected by name.
class PreTokenizer {
 public:
  // The words of a text: views into the text, or into `owned` if a space was put in front of them. `spare` is the
  // output of a step while it runs.
  struct Words {
    std::vector<std::string_view> views;
    std::vector<std::string_view> spare;
    std::deque<std::string> owned;
  };

  static PreTokenizer from_json(const Json& json);  // null: every text is one word

  bool byte_level() const { return byte_level_; }  // BPE starts from bytes rather than characters

  // Replaces `words` by the words of the text. A run of bytes that are not UTF-8 is one word.
  void split(std::string_view text, Words& words) const;

 private:
  enum class Kind { split, digits, space };
  struct Step {
    Kind kind;
    std::vector<Regex> pattern;  // one for a split, else empty
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

// The regex of GPT-2, which the ByteLevel pre-tokenizer applies unless use_regex is false.
extern const char* const kGpt2Pattern;

}  // namespace birkhoff
