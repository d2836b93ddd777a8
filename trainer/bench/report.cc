#include "trainer/bench/report.h"

#include <algorithm>
#include <cmath>
#include <iomanip>
#include <sstream>

#include <nlohmann/json.hpp>

#include "kernels/core/error.h"

namespace birkhoff {
namespace {

// Four significant digits without an exponent, which would be hard to compare by eye.
std::string digits(double value) {
  std::ostringstream out;
  const double size = std::abs(value);
  const int whole = size < 1 ? 0 : static_cast<int>(std::floor(std::log10(size))) + 1;
  out << std::fixed << std::setprecision(std::clamp(4 - whole, 0, 4)) << value;
  return out.str();
}

std::string text_of(const Cell& cell) {
  if (const double* value = std::get_if<double>(&cell)) return digits(*value);
  if (const std::string* text = std::get_if<std::string>(&cell)) return *text;
  return "-";
}

void print_table(std::ostream& out, const ReportTable& table) {
  std::vector<std::vector<std::string>> lines{table.columns};
  for (const auto& row : table.rows) {
    BK_ASSERT(row.size() == table.columns.size(), table.key);
    std::transform(row.begin(), row.end(), std::back_inserter(lines.emplace_back()), text_of);
  }
  std::vector<size_t> widths(table.columns.size(), 0);
  for (const auto& line : lines) {
    for (size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], line[i].size());
  }
  out << '\n' << table.key << '\n';
  for (const auto& line : lines) {
    out << "  " << std::left << std::setw(static_cast<int>(widths[0])) << line[0] << std::right;
    for (size_t i = 1; i < line.size(); ++i) out << "  " << std::setw(static_cast<int>(widths[i])) << line[i];
    out << '\n';
  }
}

using Json = nlohmann::ordered_json;

Json json_of(const Cell& cell) {
  if (const double* value = std::get_if<double>(&cell)) return *value;
  if (const std::string* text = std::get_if<std::string>(&cell)) return *text;
  return nullptr;
}

}  // namespace

std::string to_text(const Report& report) {
  std::ostringstream out;
  size_t width = 0;
  for (const Figure& f : report.figures) width = std::max(width, f.key.size());
  for (const Figure& f : report.figures) {
    out << std::left << std::setw(static_cast<int>(width)) << f.key << std::right << std::setw(14) << digits(f.value)
        << ' ' << std::left << std::setw(9) << f.unit << f.meaning << '\n';
  }
  for (const ReportTable& t : report.tables) print_table(out, t);
  if (!report.notes.empty()) out << '\n';
  for (const std::string& note : report.notes) out << note << '\n';
  return out.str();
}

std::string to_json(const Report& report) {
  Json j{{"scenario", report.scenario}};
  for (const Figure& f : report.figures) j[f.key] = f.value;
  for (const ReportTable& t : report.tables) {
    Json& rows = j[t.key] = Json::array();
    for (const auto& row : t.rows) {
      Json& object = rows.emplace_back(Json::object());
      for (size_t i = 0; i < row.size(); ++i) object[t.columns[i]] = json_of(row[i]);
    }
  }
  return j.dump();
}

}  // namespace birkhoff
