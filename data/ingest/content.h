#pragma once
// Recognizes what a file contains, by its first bytes and only then by its name.
#include <filesystem>
#include <string>
#include <string_view>

namespace birkhoff {

enum class TextFormat { automatic, text, json_lines };

inline constexpr std::string_view kUtf8Mark = "\xef\xbb\xbf";  // may start a file; not part of its text

// The compressed formats that are supported: see data/ingest/unpack.h.
bool is_gzip(std::string_view bytes);
bool is_zstd(std::string_view bytes);  // also if a skippable frame comes first, as pzstd writes it

// If the first bytes of an unpacked file identify a format that is not text, returns its name, such as "a PNG picture";
// otherwise an empty string. A few hundred bytes are enough.
std::string foreign_format(std::string_view bytes);

// The same for the whole contents. Also recognizes text in ISO-2022, UTF-16 or UTF-32, and contents with more zero
// bytes or control characters than text has.
std::string foreign_content(std::string_view bytes);

// Chooses how an unpacked text is read if the user did not say. `name` is the name of the file, with or without
// suffixes such as .gz. A file is JSON lines if it is called .jsonl, .ndjson or .jsonlines, if its first line is a JSON
// object, or if all lines but the first and the last look like one.
// Errors: DataError, which begins with `place`, if the contents are not text, or are one JSON document or a series of
//         them.
TextFormat choose_format(const std::filesystem::path& name, std::string_view text, const std::string& place);

}  // namespace birkhoff
