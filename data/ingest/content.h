#pragma once
// What a file holds, decided by its first bytes and only then by its name.
#include <filesystem>
#include <string>
#include <string_view>

namespace birkhoff {

enum class TextFormat { automatic, text, json_lines };

inline constexpr std::string_view kUtf8Mark = "\xef\xbb\xbf";  // at the start of a file; no part of its text

// Formats that hold text in compressed form and that are read: see data/ingest/unpack.h.
bool is_gzip(std::string_view bytes);
bool is_zstd(std::string_view bytes);  // one that begins by a skippable frame too, as pzstd writes them

// Name of the format that the first bytes of an unpacked file give away and that is no text, such as "a PNG picture";
// empty for anything else. Some hundred bytes are enough.
std::string foreign_format(std::string_view bytes);

// The same, decided by all bytes: text in UTF-16 or UTF-32, and contents full of bytes that no text has, are named too.
std::string foreign_content(std::string_view bytes);

// How an unpacked text is read where the user leaves it open. `name` is the file's, with or without .gz and the like.
// JSON lines are files called .jsonl, .ndjson or .jsonlines, and those whose first line is a JSON object, or whose
// inner lines all look like one. Errors: DataError begins with `place` and names a content that is no text, or that is
// one JSON document or several.
TextFormat choose_format(const std::filesystem::path& name, std::string_view text, const std::string& place);

}  // namespace birkhoff
