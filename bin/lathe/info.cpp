#include "commands.h"
#include "table.h"

#include <lathe/base/error.h>
#include <lathe/base/io.h>
#include <lathe/graph/model_file.h>
#include <lathe/layers/models.h>

#include <filesystem>
#include <map>

namespace lathe::commands {
namespace {

std::int64_t constant_bytes(const graph::Graph& graph) {
  std::int64_t bytes = 0;
  for (const graph::Value& value : graph.values())
    if (value.is_constant()) bytes += static_cast<std::int64_t>(value.data->bytes().size());
  return bytes;
}

int show_model(const std::string& name) {
  const layers::ModelInfo& info = layers::find_model(name);
  const auto model = info.make();
  fmt::print("{}: {}\n\n{}", info.name, info.about, layers::summary(*model, info.input));
  return 0;
}

int show_file(const std::string& path) {
  const graph::Graph graph = load_network(path);
  fmt::print("{}\n", graph::to_string(graph));
  fmt::print("file: {} bytes; constants: {} bytes; {} FLOPs per image\n", std::filesystem::file_size(path),
             constant_bytes(graph), graph::count_flops(graph));
  return 0;
}

std::string_view to_string(graph::SizeEntry::Part part) {
  using Part = graph::SizeEntry::Part;
  switch (part) {
    case Part::header:
      return "header";
    case Part::checksum:
      return "checksum";
    case Part::graph:
      return "graph";
    case Part::scales:
      return "scales";
    case Part::constant:
      return "elements";
    case Part::padding:
      return "padding";
  }
  return "";
}

std::string percent(std::uint64_t part, std::uint64_t whole) {
  return fmt::format("{:.1f}", 100.0 * static_cast<double>(part) / static_cast<double>(whole));
}

/// Where every byte of a .lathe file goes.
int show_bytes(const std::string& path) {
  const std::vector<std::byte> file = read_file(path);
  const std::vector<graph::SizeEntry> entries = graph::size_breakdown(file, path);
  experiments::Table parts{
      {"tensor", "part", "dtype", "shape", "encoding", "elements", "bits each", "bytes", "%"}, {}};
  struct Use {
    std::int64_t arrays = 0, elements = 0;
    std::uint64_t bytes = 0;
  };
  std::map<std::string, Use> uses;
  for (const graph::SizeEntry& entry : entries) {
    std::vector<std::string> row{entry.name, std::string(to_string(entry.part))};
    const bool array =
        entry.part == graph::SizeEntry::Part::scales || entry.part == graph::SizeEntry::Part::constant;
    if (array) {
      const std::int64_t elements = entry.shape.size();
      const double bits =
          elements > 0 ? 8.0 * static_cast<double>(entry.bytes) / static_cast<double>(elements) : 0;
      row.insert(row.end(), {std::string(lathe::to_string(entry.dtype)), lathe::to_string(entry.shape),
                             entry.encoding, std::to_string(elements), fmt::format("{:.2f}", bits)});
      Use& use = uses[entry.encoding];
      ++use.arrays, use.elements += elements, use.bytes += entry.bytes;
    } else {
      row.insert(row.end(), {"", "", entry.encoding, "", ""});
    }
    row.insert(row.end(), {std::to_string(entry.bytes), percent(entry.bytes, file.size())});
    parts.rows.push_back(std::move(row));
  }
  parts.rows.push_back({"all", "", "", "", "", "", "", std::to_string(file.size()), "100.0"});
  fmt::print("{}\n", experiments::to_text(parts));

  experiments::Table encodings{{"encoding", "arrays", "elements", "bytes"}, {}};
  for (const auto& [encoding, use] : uses)
    encodings.rows.push_back(
        {encoding, std::to_string(use.arrays), std::to_string(use.elements), std::to_string(use.bytes)});
  if (!uses.empty()) fmt::print("{}\n", experiments::to_text(encodings));
  const std::size_t plain =
      graph::encode(graph::decode(file, path), {.form = graph::EncodeOptions::Form::plain}).size();
  fmt::print("file: {} bytes; with all numbers as they are in memory: {} bytes\n", file.size(), plain);
  return 0;
}

}  // namespace

void add_info(CLI::App& app, Run& run) {
  auto* command = app.add_subcommand("info", "Show the layers of a bundled model, or what is in a file");
  auto what = std::make_shared<std::string>();
  auto model = std::make_shared<std::string>();
  auto bytes = std::make_shared<bool>(false);
  auto* file =
      command->add_option("model_or_file", *what, "Name of a bundled model, a .lathe file or a checkpoint");
  command->add_option("--model", *model, "Name of a bundled model")->excludes(file);
  command->add_flag("--bytes", *bytes, "Show where every byte of a .lathe file goes, and how it is encoded");
  command->callback([&run, what, model, bytes] {
    run = [what, model, bytes] {
      if (*bytes && what->empty()) throw experiments::UsageError("info: --bytes needs a .lathe file");
      if (*bytes) return show_bytes(*what);
      if (!model->empty()) return show_model(*model);
      if (what->empty()) throw experiments::UsageError("info: name a model or a file");
      if (std::filesystem::exists(*what)) return show_file(*what);
      const bool looks_like_file = what->find_first_of("./") != std::string::npos;
      check(!looks_like_file, "info: there is no file {}", *what);
      return show_model(*what);
    };
  });
}

}  // namespace lathe::commands
