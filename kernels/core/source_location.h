#pragma once

namespace birkhoff {

// std::source_location, which libstdc++ 12 does not offer to clang 14. As a default argument, current() names the
// caller.
class SourceLocation {
 public:
  constexpr SourceLocation() = default;
  static constexpr SourceLocation current(const char* file = __builtin_FILE(),
                                          const char* function = __builtin_FUNCTION(),
                                          unsigned line = __builtin_LINE()) {
    return SourceLocation(file, function, line);
  }
  constexpr const char* file_name() const { return file_; }
  constexpr const char* function_name() const { return function_; }
  constexpr unsigned line() const { return line_; }

 private:
  constexpr SourceLocation(const char* file, const char* function, unsigned line)
      : file_(file), function_(function), line_(line) {}
  const char* file_ = "";
  const char* function_ = "";
  unsigned line_ = 0;
};

}  // namespace birkhoff
