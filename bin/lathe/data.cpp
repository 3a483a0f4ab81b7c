#include "commands.h"
#include "progress.h"

#include <lathe/base/error.h>
#include <lathe/datasets/dataset.h>
#include <lathe/datasets/fetch.h>

namespace lathe::commands {
namespace {

struct Arguments {
  experiments::CommonOptions common;
  std::string data;
  std::string name;
  std::string mirror;
};

int list_data(const Arguments& arguments) {
  const auto root = datasets::data_root(arguments.data);
  fmt::print("in {}:\n", root.string());
  for (const datasets::Listing& entry : datasets::list(root))
    fmt::print("  {:<18} {}\n", entry.name, entry.about);
  return 0;
}

datasets::RemoteDataset find_remote(const std::string& name) {
  std::string names;
  for (const datasets::RemoteDataset& dataset : datasets::remote_datasets()) {
    if (dataset.name == name) return dataset;
    names += (names.empty() ? "" : ", ") + dataset.name;
  }
  fail("data fetch: '{}' cannot be downloaded; there are: {}", name, names);
}

int fetch_data(const Arguments& arguments) {
  datasets::RemoteDataset dataset = find_remote(arguments.name);
  if (!arguments.mirror.empty()) dataset.mirrors = {arguments.mirror};
  const auto root = datasets::data_root(arguments.data);
  {
    experiments::ProgressLine line(arguments.common.quiet ? nullptr : stderr, "downloading " + dataset.name);
    std::uint64_t total = 0;
    for (const auto& file : dataset.files) total += file.bytes;
    datasets::FetchOptions options;
    options.progress = [&](const datasets::RemoteFile& current, std::uint64_t bytes) {
      std::uint64_t done = bytes;
      for (const auto& file : dataset.files) {
        if (file.name == current.name) break;
        done += file.bytes;
      }
      line.update(static_cast<std::int64_t>(done), static_cast<std::int64_t>(total));
    };
    if (!arguments.common.quiet)
      options.note = [](std::string_view text) { fmt::print(stderr, "\r{}\n", text); };
    datasets::fetch(dataset, root, options);
  }
  if (!arguments.common.quiet) fmt::print("{} is in {}\n", dataset.name, (root / dataset.name).string());
  return 0;
}

}  // namespace

void add_data(CLI::App& app, Run& run) {
  auto* command = app.add_subcommand("data", "List or download data sets");
  command->require_subcommand(1);
  auto arguments = std::make_shared<Arguments>();
  auto* list = command->add_subcommand("list", "Show the data sets there are");
  experiments::add_data_option(*list, arguments->data);
  list->callback([&run, arguments] { run = [arguments] { return list_data(*arguments); }; });
  auto* fetch = command->add_subcommand("fetch", "Download a data set and check it");
  fetch->add_option("name", arguments->name, "Name of the data set: mnist")->required();
  fetch->add_option("--mirror", arguments->mirror,
                    "URL of a folder with the files, instead of the built-in mirrors");
  experiments::add_data_option(*fetch, arguments->data);
  experiments::add_common_options(*fetch, arguments->common);
  fetch->callback([&run, arguments] { run = [arguments] { return fetch_data(*arguments); }; });
}

}  // namespace lathe::commands
