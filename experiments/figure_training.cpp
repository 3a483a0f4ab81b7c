#include "figure_training.h"

#include "figure_planes.h"
#include "words.h"

#include <lathe/base/error.h>
#include <lathe/base/io.h>

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <sstream>

namespace lathe::experiments {
namespace {

using palette::kMuted;

std::string text_of(const std::filesystem::path& path) try {
  const auto bytes = read_file(path, std::uint64_t{1} << 26);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
} catch (const Error&) {
  return {};  // an older run, or a failed one: there is no such figure
}

struct Epoch {
  double epoch = 0, train_loss = NAN, train_accuracy = NAN, validation_loss = NAN, validation_accuracy = NAN;
};

/// Rows of a history file; what is not a number is left out.
std::vector<Epoch> read_history(const std::filesystem::path& path) {
  std::istringstream lines(text_of(path));
  std::string line;
  const auto fields = [&] {
    std::vector<std::string> result;
    std::istringstream parts(line);
    for (std::string part; std::getline(parts, part, ',');) result.push_back(part);
    return result;
  };
  if (!std::getline(lines, line)) return {};
  const std::vector<std::string> header = fields();
  std::vector<Epoch> epochs;
  while (std::getline(lines, line)) {
    Epoch epoch;
    const auto values = fields();
    for (std::size_t i = 0; i < std::min(values.size(), header.size()); ++i) {
      double value = NAN;
      const char *begin = values[i].data(), *end = begin + values[i].size();
      if (std::from_chars(begin, end, value).ec != std::errc() || !std::isfinite(value)) continue;
      if (header[i] == "epoch") epoch.epoch = value;
      if (header[i] == "train_loss") epoch.train_loss = value;
      if (header[i] == "train_accuracy") epoch.train_accuracy = value;
      if (header[i] == "validation_loss") epoch.validation_loss = value;
      if (header[i] == "validation_accuracy") epoch.validation_accuracy = value;
    }
    if (epoch.epoch > 0) epochs.push_back(epoch);
  }
  return epochs;
}

/// What LayerHistory wrote of an experiment; null: nothing that can be read.
Cell layer_record(const Row& row, const ResultFolder& folder) {
  Cell record = Cell::parse(text_of(folder.layer_history(row.id)), nullptr, false);
  const bool whole = record.is_object() && record.contains("weights") && record["weights"].is_array() &&
                     record.contains("steps") && record["steps"].is_array();
  return whole ? record : nullptr;
}

/// Of the first experiment that has one.
Cell layer_record(const Group& group, const ResultFolder& folder) {
  for (const Row* row : group.rows)
    if (Cell record = layer_record(*row, folder); !record.is_null()) return record;
  return nullptr;
}

double number(const Cell& value) { return value.is_number() ? value.get<double>() : NAN; }
double number(const Cell& object, const char* key) {
  return object.is_object() && object.contains(key) ? number(object[key]) : NAN;
}

/// "epoch<tab>loss" lines: the mean loss of some steps, at the last of them.
std::string step_losses(const Cell& record) {
  if (record.is_null() || !record.contains("loss") || !record["loss"].is_array()) return {};
  const double per_epoch = std::max(1.0, number(record, "steps_per_epoch"));
  std::string lines;
  for (std::size_t i = 0; i < std::min(record["steps"].size(), record["loss"].size()); ++i) {
    const double epoch = number(record["steps"][i]) / per_epoch, loss = number(record["loss"][i]);
    if (std::isfinite(epoch) && std::isfinite(loss)) lines += fmt::format("{:.5g}\t{:.6g}\n", epoch, loss);
  }
  return lines;
}

std::string name_of(const Cell& weight) {
  return weight.is_object() && weight.contains("name") && weight["name"].is_string()
             ? weight["name"].get<std::string>()
             : "?";
}

std::string file_name(const char* what, const Group& group) {
  return fmt::format("{}-{}_{}", what, slug(group.base), slug(group.kind));
}

struct Histogram {
  double width = 1;
  std::int64_t first = 0;
  std::vector<double> counts;
};

std::optional<Histogram> histogram(const Cell& weight, const char* key) {
  if (!weight.is_object() || !weight.contains(key) || !weight[key].is_object()) return {};
  const Cell& object = weight[key];
  Histogram result{.width = number(object, "width")};
  const double first = number(object, "first");
  if (!(result.width > 0) || !std::isfinite(first) || !object.contains("counts") ||
      !object["counts"].is_array())
    return {};
  result.first = static_cast<std::int64_t>(first);
  for (const Cell& count : object["counts"]) result.counts.push_back(number(count));
  return result.counts.empty() ? std::nullopt : std::optional(std::move(result));
}

}  // namespace

Figure curves_figure(const Group& group, const ResultFolder& folder) {
  Figure figure{
      .name = file_name("curves", group),
      .caption = fmt::format(
          "Training of {}: accuracy and loss by epoch, on the training images and on those held out of them. "
          "Grey: the loss of the steps within the epochs.",
          group.name()),
      .width = 760,
      .height = 330};
  figure.data = "# epoch\ttraining accuracy\tvalidation accuracy\ttraining loss\tvalidation loss\tvalues\n";
  std::string steps;  // of all seeds, after their epochs
  std::size_t seeds = 0, step_blocks = 0;
  std::int64_t last = 0;
  for (const Row* row : group.rows) {
    const auto epochs = read_history(folder.history(row->id));
    if (epochs.empty()) continue;
    for (const Epoch& e : epochs) {
      last = std::max(last, static_cast<std::int64_t>(e.epoch));
      const auto hover = [&](const char* what, double accuracy, double loss) {
        return data_text(fmt::format("{}, epoch {}, {}: {:.2f} %, loss {:.4f}", row->id, e.epoch, what,
                                     100 * accuracy, loss));
      };
      figure.data += fmt::format("{}\t{:.6g}\t{:.6g}\t{:.6g}\t{:.6g}\t{}\t{}\n", e.epoch,
                                 100 * e.train_accuracy, 100 * e.validation_accuracy, e.train_loss,
                                 e.validation_loss, hover("training", e.train_accuracy, e.train_loss),
                                 hover("validation", e.validation_accuracy, e.validation_loss));
    }
    figure.data += "\n\n";
    ++seeds;
    if (const std::string losses = step_losses(layer_record(*row, folder)); !losses.empty()) {
      steps += losses + "\n\n";
      ++step_blocks;
    }
  }
  figure.data += steps;
  if (seeds == 0) {
    figure.data.clear();
    return figure;
  }
  if (seeds > 1) figure.caption += fmt::format(" A line for each of {} seeds.", seeds);
  double left = 0.8, space = 0.2;
  if (last <= 1) left = space = 0.5;  // a single dot, in the middle
  if (step_blocks > 0) {              // the steps begin at 0 and end at the last epoch's dot
    left = 0;
    if (last <= 1) space = 0.05;
  }
  std::string& s = figure.script;
  s += fmt::format(
      "set multiplot\nset tmargin at screen 0.89\nset bmargin at screen 0.16\nset xrange [{}:{}]\nset xlabel "
      "'epoch' offset 0,0.4\n",
      left, static_cast<double>(last) + space);
  s += fmt::format("set xtics {}\n", std::max<std::int64_t>(1, (last + 9) / 10));
  s += "set key at screen 0.985,0.985 right top horizontal Left reverse samplen 2\nset offsets 0,0,graph "
       "0.04,graph 0.04\n";
  for (int panel = 0; panel < 2; ++panel) {
    s +=
        fmt::format("set lmargin at screen {}\nset rmargin at screen {}\nset ylabel '{}' offset 1,0\n",
                    panel == 0 ? 0.09 : 0.60, panel == 0 ? 0.49 : 0.985, panel == 0 ? "accuracy, %" : "loss");
    if (panel == 1) s += "unset key\nset yrange [0:*]\n";
    std::string plots;
    if (panel == 1 && step_blocks > 0)
      plots = fmt::format("plot for [i={}:{}] data index i using 1:2 with lines lw 0.8 lc rgb '{}' notitle",
                          seeds, seeds + step_blocks - 1, kMuted);
    for (int what = 0; what < 2; ++what) {
      const int column = 2 + 2 * panel + what;
      const char* color = series_color(static_cast<std::size_t>(what));
      plots += fmt::format(
          "{0}for [i=0:{1}] data index i using 1:{2} with lines lw {3} {4} lc rgb '{5}' title i == 0 ? '{6}' "
          ": ''",
          plots.empty() ? "plot " : ", \\\n  ", seeds - 1, column, seeds > 1 ? 1.2 : 1.8,
          what == 0 ? "dt (6,4)" : "", color, what == 0 ? "training" : "validation");
      plots += fmt::format(
          ", \\\n  for [i=0:{}] data index i using 1:{}:{} with labels hypertext point pt 7 ps 0.35 lc rgb "
          "'{}' notitle",
          seeds - 1, column, 6 + what, color);
    }
    s += plots + "\n";
  }
  s += "unset multiplot\n";
  return figure;
}

Figure sparsity_figure(const Group& group, const ResultFolder& folder) {
  Figure figure{
      .name = file_name("sparsity", group),
      .caption = fmt::format("Sparsity of each weight tensor of {} over the training.", group.name()),
      .width = 720,
      .height = 340};
  const Cell record = layer_record(group, folder);
  if (record.is_null()) return figure;
  const double per_epoch = std::max(1.0, number(record, "steps_per_epoch"));
  std::string data, plots;
  std::size_t index = 0, longest = 0;
  double most = 0;
  for (const Cell& weight : record["weights"]) {
    if (!weight.is_object() || !weight.contains("sparsity") || !weight["sparsity"].is_array()) continue;
    const Cell& shares = weight["sparsity"];
    const std::size_t count = std::min(shares.size(), record["steps"].size());
    if (count == 0) continue;
    const std::string name = name_of(weight);
    for (std::size_t i = 0; i < count; ++i) {
      const double epoch = number(record["steps"][i]) / per_epoch, share = number(shares[i]);
      if (share > most) most = share;
      data +=
          fmt::format("{:.5g}\t{:.5g}\t{}\n", epoch, 100 * share,
                      data_text(fmt::format("{}, epoch {:.2f}: {:.1f} % zeros", name, epoch, 100 * share)));
    }
    data += "\n\n";
    const std::string title = fmt::format("{}, {:.1f} %", name, 100 * number(shares[count - 1]));
    longest = std::max(longest, display_width(title));
    plots += fmt::format(
        "{0}data index {1} using 1:2 with lines lw 1.8 lc rgb '{2}' title {3}, \\\n  data index {1} using "
        "1:2:3 with labels hypertext point pt 7 ps 0.25 lc rgb '{2}' notitle",
        plots.empty() ? "plot " : ", \\\n  ", index, series_color(index), quote_gnuplot(title));
    ++index;
  }
  if (most < 0.05) return figure;
  figure.data = "# epoch\tzeros %\tvalue\n" + data;
  figure.script = fmt::format(
      "set lmargin at screen 0.085\nset rmargin at screen {:.4f}\nset tmargin at screen 0.96\nset bmargin at "
      "screen 0.15\nset yrange [0:100]\n"
      "set xrange [0:*]\nset xlabel 'epoch' offset 0,0.4\nset ylabel 'zeros, %' offset 1,0\nset key outside "
      "right center Left reverse samplen 1.5\n{}\n",
      1 - std::min(0.4, (6.6 * static_cast<double>(longest) + 52) / figure.width), plots);
  return figure;
}

Figure weights_figure(const Group& group, const ResultFolder& folder) {
  Figure figure{.name = file_name("weights", group),
                .caption = fmt::format("Weights of {} before training (grey) and after it (blue): how many "
                                       "lie where, on a logarithmic scale.",
                                       group.name()),
                .width = 760};
  const Cell record = layer_record(group, folder);
  if (record.is_null()) return figure;
  struct Panel {
    std::string name;
    Histogram before, after;
  };
  std::vector<Panel> panels;
  for (const Cell& weight : record["weights"]) {
    auto before = histogram(weight, "before"), after = histogram(weight, "after");
    if (before && after && panels.size() < 24)
      panels.push_back({name_of(weight), std::move(*before), std::move(*after)});
  }
  if (panels.empty()) return figure;
  const std::size_t columns = std::min<std::size_t>(3, panels.size()),
                    rows = (panels.size() + columns - 1) / columns;
  figure.height = static_cast<int>(10 + 206 * rows);
  figure.data = "# weight\tcount (0.5: none)\n";
  std::string& s = figure.script;
  s += "set multiplot\nunset key\nset logscale y\nset format y '%g'\nset xtics font small\nset "
       "ytics font small\n";
  for (std::size_t p = 0; p < panels.size(); ++p) {
    double most = 1, low = 0, high = 0;
    for (const Histogram* h : {&panels[p].before, &panels[p].after}) {
      // A step begins half a bin before its middle; one empty bin on either side closes it.
      const auto bin = [&](std::int64_t i, double count) {
        const double at = (static_cast<double>(h->first + i) - 0.5) * h->width;
        low = std::min(low, at), high = std::max(high, at);
        figure.data += fmt::format("{:.6g}\t{:.6g}\n", at, std::max(count, 0.5));
      };
      bin(-1, 0);
      for (std::size_t i = 0; i < h->counts.size(); ++i)
        bin(static_cast<std::int64_t>(i), h->counts[i]), most = std::max(most, h->counts[i]);
      bin(static_cast<std::int64_t>(h->counts.size()), 0);
      bin(static_cast<std::int64_t>(h->counts.size()) + 1, 0);
      figure.data += "\n\n";
    }
    const std::size_t column = p % columns, row = p / columns;
    const double w = 1.0 / static_cast<double>(columns),
                 top = 1 - (10.0 + 206.0 * static_cast<double>(row)) / figure.height;
    s += fmt::format(
        "set lmargin at screen {:.4f}\nset rmargin at screen {:.4f}\nset tmargin at screen {:.4f}\nset "
        "bmargin at screen {:.4f}\n",
        static_cast<double>(column) * w + 48.0 / figure.width,
        static_cast<double>(column + 1) * w - 12.0 / figure.width, top - 22.0 / figure.height,
        top - 164.0 / figure.height);
    const double limit = std::max(-low, high);
    s += fmt::format(
        "set title {} offset 0,-0.6\nset xrange [{:.6g}:{:.6g}]\nset yrange [0.5:{:.6g}]\nset xtics {}\n",
        quote_gnuplot(panels[p].name), -limit, limit, most * 2, tick_list(ticks(-limit, limit, 5, false)));
    s += fmt::format(
        "plot data index {} using 1:2 with fillsteps fs solid 0.35 noborder lc rgb '{}', \\\n  data index {} "
        "using 1:2 with steps lw 1.3 lc rgb '{}'\n",
        2 * p, kMuted, 2 * p + 1, series_color(0));
  }
  s += "unset multiplot\n";
  return figure;
}

}  // namespace lathe::experiments
