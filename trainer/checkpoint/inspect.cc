#include <algorithm>
#include <iomanip>
#include <ostream>
#include <set>

#include <sys/stat.h>

#include "kernels/core/error.h"
#include "kernels/core/printable.h"
#include "trainer/checkpoint/commands.h"
#include "trainer/checkpoint/directory.h"

namespace birkhoff {
namespace {

namespace fs = std::filesystem;

// The class of a tensor: "weights", or for moments the first two words of the name, such as "adamw.m".
std::string class_of(const std::string& name) {
  if (name.starts_with("model.")) return "weights";
  const size_t first = name.find('.');
  return name.substr(0, first == name.npos ? first : name.find('.', first + 1));
}

struct Sum {
  int64_t tensors = 0, elements = 0, bytes = 0;
  void add(const Manifest::Entry& e) {
    tensors += 1;
    elements += e.shape.count();
    bytes += e.shape.count() * static_cast<int64_t>(size_of(e.dtype));
  }
};

void print_row(std::ostream& out, const std::string& name, const Sum& sum) {
  out << "  " << std::left << std::setw(24) << name << std::right << std::setw(8) << sum.tensors << std::setw(16)
      << sum.elements << std::setw(16) << sum.bytes << '\n';
}

void print_classes(std::ostream& out, const Manifest& m) {
  std::map<std::string, Sum> classes;
  Sum total;
  for (const auto& [name, entry] : m.tensors) {
    classes[class_of(name)].add(entry);
    total.add(entry);
  }
  out << "class                      tensors        elements           bytes\n";
  for (const auto& [name, sum] : classes) print_row(out, name, sum);
  print_row(out, "total", total);
}

void print_files(std::ostream& out, const fs::path& checkpoint, const Manifest& m) {
  out << "files\n";
  for (const auto& [name, file] : m.files) {
    out << "  " << std::left << std::setw(24) << name << std::right << std::setw(16) << file.bytes
        << (file.xxh3.empty() ? " tensors" : " attachment") << '\n';
  }
  for (const std::string& name : stray_files(checkpoint, m)) out << "  " << name << " is not part of the checkpoint\n";
}

void print_tensors(std::ostream& out, const Manifest& m) {
  out << "tensors\n";
  for (const auto& [name, entry] : m.tensors) {
    out << "  " << name << ' ' << entry.dtype << entry.shape << " in " << entry.parts.size()
        << (entry.parts.size() == 1 ? " part\n" : " parts\n");
  }
}

// The text in quotes if it fits on the line, otherwise its size.
std::string brief(const std::string& text) {
  const bool plain = std::none_of(text.begin(), text.end(), [](unsigned char c) { return c < ' '; });
  return plain && text.size() <= 60 ? "'" + text + "'" : concat(text.size(), " bytes");
}

}  // namespace

void inspect_checkpoint(const fs::path& checkpoint, std::ostream& out) {
  const Manifest m = open_checkpoint(checkpoint);
  out << "checkpoint " << checkpoint.string() << "\nstep       " << m.step << "\nformat     " << m.version << "\n\n";
  print_classes(out, m);
  print_files(out, checkpoint, m);
  print_tensors(out, m);
  out << "values\n";
  for (const auto& [name, value] : m.integers) out << "  " << name << " = " << value << '\n';
  for (const auto& [name, value] : m.reals) out << "  " << name << " = " << value << '\n';
  for (const auto& [name, value] : m.texts) out << "  " << name << " = " << brief(value) << '\n';
}

namespace {

// The inode of the folder at `path`, or 0 if there is none.
ino_t folder_at(const fs::path& path) {
  struct stat folder {};
  return ::stat(path.c_str(), &folder) == 0 ? folder.st_ino : 0;
}

enum class Verdict { valid, faulty, gone };
enum class Listed { no, yes };  // yes: found in the directory of a run, not named by the user

// Verifies one checkpoint. A run that is training in this directory may remove the checkpoint meanwhile (`gone`) or
// replace it by another folder, which is then verified from the start.
Verdict verify_one(const fs::path& checkpoint, Listed listed, std::ostream& out) {
  while (true) {
    const ino_t folder = folder_at(checkpoint);
    try {
      const Manifest m = verify_checkpoint(checkpoint);
      out << printable(checkpoint.string()) << ": valid, step " << m.step << ", " << m.tensors.size() << " tensors in "
          << m.files.size() << " files\n";
      for (const std::string& name : stray_files(checkpoint, m))
        out << "  " << printable(name) << " is not part of it\n";
      return Verdict::valid;
    } catch (const DataError& e) {
      const ino_t now = folder_at(checkpoint);
      if (now == 0 && listed == Listed::yes) return Verdict::gone;
      // The name now refers to another folder than the one that was read: verify the new one instead.
      if (now != folder) continue;
      out << printable(concat(checkpoint.string(), ": NOT VALID: ", e.what())) << '\n';
      return Verdict::faulty;
    }
  }
}

}  // namespace

void verify_checkpoints(const fs::path& path, std::ostream& out) {
  std::set<fs::path> seen;
  size_t faulty = 0, valid = 0;
  // If the run removed all checkpoints that were listed, it has saved newer ones: list them again.
  for (bool more = true; more && valid + faulty == 0;) {
    std::vector<fs::path> checkpoints;
    for (const auto& [step, folder] : find_checkpoints(path)) checkpoints.push_back(folder);
    const Listed listed = checkpoints.empty() && seen.empty() ? Listed::no : Listed::yes;
    if (listed == Listed::no) checkpoints.push_back(path);
    more = false;
    for (const fs::path& checkpoint : checkpoints) {
      if (!seen.insert(checkpoint).second) continue;
      const Verdict verdict = verify_one(checkpoint, listed, out);
      more = more || verdict == Verdict::gone;
      faulty += verdict == Verdict::faulty;
      valid += verdict == Verdict::valid;
    }
  }
  if (faulty > 0) throw DataError(concat(faulty, " of ", valid + faulty, " checkpoints not valid"));
  if (valid == 0) throw DataError(path.string() + ": its checkpoints were removed while they were read");
}

}  // namespace birkhoff
