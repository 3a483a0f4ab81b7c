#include "report.h"

#include "figures.h"
#include "published.h"
#include "words.h"

#include <lathe/base/error.h>
#include <lathe/base/io.h>

#include <algorithm>
#include <set>

namespace lathe::experiments {
namespace {

bool generated(const Row& row) {
  return row.cell.contains("generated_data") && row.cell["generated_data"] == true;
}

/// The different values of a key of an object of the cells, in order: "mnist", "0; 1; 2".
std::string values_of(const std::vector<Row>& rows, const char* object, const char* key) {
  std::vector<std::string> values;
  for (const Row& row : rows) {
    if (!row.cell.contains(object) || !row.cell[object].is_object() || !row.cell[object].contains(key))
      continue;
    const Cell& value = row.cell[object][key];
    std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    if (std::ranges::find(values, text) == values.end()) values.push_back(std::move(text));
  }
  std::string joined;
  for (const std::string& value : values) joined += (joined.empty() ? "" : "; ") + value;
  return joined;
}

std::string dates_of(const std::vector<Row>& rows) {
  std::set<std::string> times;
  for (const Row& row : rows)
    if (std::string time = values_of({row}, "environment", "time"); !time.empty())
      times.insert(std::move(time));
  if (times.empty()) return "";
  return times.size() == 1 ? *times.begin() : *times.begin() + " to " + *times.rbegin();
}

std::string count_of(std::size_t count, const char* one, const char* many) {
  return fmt::format("{} {}", count, count == 1 ? one : many);
}

Text described(const Candidate& candidate) {
  Text text;
  text.code(candidate.file.string())
      .plain(fmt::format(": {} % of the test set, {} bytes, {} µs a run ({} {}, {})",
                         percent(candidate.accuracy), with_commas(candidate.bytes),
                         microseconds(candidate.median_ms), candidate.base, candidate.kind,
                         candidate.variant));
  return text;
}

class Builder {
 public:
  Builder(const Results& run, const ReportOptions& options, std::vector<FigureBlock> figures)
      : run_(run),
        options_(options),
        figures_(std::move(figures)),
        groups_(group_rows(run.rows)),
        variants_(variants_of(run.rows)),
        candidates_(candidates(run)) {}

  Document build() {
    const std::string dataset = values_of(run_.rows, "config", "dataset");
    document_.title = "Results on " + (dataset.empty() ? "?" : dataset);
    summary();
    what_was_run();
    guide();
    fronts();
    results();
    int8();
    published();
    latency();
    training();
    best_models();
    failures();
    everything();
    return std::move(document_);
  }

 private:
  Section& section(std::string title) {
    return document_.sections.emplace_back(Section{std::move(title), {}});
  }

  /// Adds the figures whose names begin so, with a heading before the first.
  void add_figures(Section& to, std::string_view prefix, const char* heading = nullptr) {
    bool first = true;
    for (FigureBlock& figure : figures_)
      if (figure.name.starts_with(prefix) && !figure.svg.empty()) {
        if (first && heading != nullptr) to.blocks.emplace_back(Heading{heading});
        first = false;
        to.blocks.emplace_back(std::move(figure));
        figure.svg.clear();
      }
  }

  void summary() {
    Section& to = section("Summary");
    if (std::ranges::any_of(run_.rows, generated))
      to.blocks.emplace_back(
          Warning{"The images are generated, not real: these figures say nothing about real data."});
    const auto failed = static_cast<std::size_t>(
        std::ranges::count_if(run_.rows, [](const Row& row) { return !row.error.empty(); }));
    if (failed > 0)
      to.blocks.emplace_back(
          Warning{count_of(failed, "experiment", "experiments") + " failed; see the end of this report."});
    if (!run_.problems.empty())
      to.blocks.emplace_back(Warning{count_of(run_.problems.size(), "result", "results") +
                                     " could not be read and is not in here."});
    Bullets bullets;
    bullets.items.emplace_back(fmt::format("{} of {}: {}.",
                                           count_of(run_.rows.size() - failed, "experiment", "experiments"),
                                           count_of(groups_.size(), "kind", "kinds"), names_of_bases()));
    if (const Candidate* best = choose(candidates_, {}))
      bullets.items.push_back(Text("Most accurate: ").add_text(described(*best)).plain("."));
    const auto least = [&](auto member, const char* title) {
      const auto found = std::ranges::min_element(candidates_, {}, member);
      if (found != candidates_.end())
        bullets.items.push_back(Text(title).add_text(described(*found)).plain("."));
    };
    least(&Candidate::bytes, "Smallest: ");
    least(&Candidate::median_ms, "Fastest: ");
    if (const std::string gain = int8_gain(); !gain.empty()) bullets.items.emplace_back(gain);
    to.blocks.emplace_back(std::move(bullets));
  }

  std::string names_of_bases() const {
    std::string text;
    std::set<std::string> seen;
    for (const Group& group : groups_)
      if (seen.insert(group.base).second) text += (text.empty() ? "" : ", ") + group.base;
    return text;
  }

  /// What int8 costs and gains over all kinds.
  std::string int8_gain() const {
    std::vector<double> drops, smaller, faster;
    for (const Group& group : groups_) {
      const auto a = group.number("float_acc"), b = group.number("int8_acc");
      const auto large = group.number("float_bytes"), small = group.number("int8_bytes");
      const auto slow = group.number("float_median_ms"), fast = group.number("int8_median_ms");
      if (!a || !b || !large || !small || !slow || !fast || *small <= 0 || *fast <= 0) continue;
      drops.push_back(*b - *a), smaller.push_back(*large / *small), faster.push_back(*slow / *fast);
    }
    if (drops.empty()) return "";
    return fmt::format(
        "int8 against fp32, median over the kinds: {} points of accuracy, {:.2f} times smaller, {:.2f} times "
        "as fast.",
        points(statistic(drops).median), statistic(smaller).median, statistic(faster).median);
  }

  void what_was_run() {
    Section& to = section("What was run");
    const auto& rows = run_.rows;
    Table table{{"what", "value"}, {}};
    const auto add = [&](const char* what, const std::string& value) {
      if (!value.empty()) table.rows.push_back({what, value});
    };
    const bool all = std::ranges::all_of(rows, generated), any = std::ranges::any_of(rows, generated);
    add("data set", values_of(rows, "config", "dataset") + (all   ? " (generated)"
                                                            : any ? " (some generated, some real)"
                                                                  : " (real data)"));
    add("epochs", values_of(rows, "config", "epochs"));
    add("batch", values_of(rows, "config", "batch"));
    add("precision of training", values_of(rows, "config", "precision"));
    add("training images", values_of(rows, "config", "train_limit") == "0"
                               ? "all"
                               : "the first " + values_of(rows, "config", "train_limit"));
    add("seeds", values_of(rows, "config", "seed"));
    add("processor", values_of(rows, "environment", "processor"));
    add("cores", values_of(rows, "environment", "cores"));
    add("threads for training", values_of(rows, "environment", "training_threads"));
    add("threads for latency", values_of(rows, "environment", "latency_threads"));
    add("kernels", values_of(rows, "environment", "kernel_level"));
    add("compiler", values_of(rows, "environment", "compiler"));
    add("lathe", values_of(rows, "environment", "lathe"));
    add("measured", dates_of(rows));
    to.blocks.emplace_back(TableBlock{"Settings and machine", std::move(table), false, true});
    std::set<std::string> commands;
    for (const Row& row : rows)
      if (row.cell.contains("command") && row.cell["command"].is_string() && row.cell["command"] != "")
        commands.insert(row.cell["command"].get<std::string>());
    if (commands.empty() && !options_.command.empty()) commands.insert(options_.command);
    std::string lines;
    for (const std::string& command : commands) lines += (lines.empty() ? "" : "\n") + command;
    if (!lines.empty()) {
      to.blocks.emplace_back(Paragraph{"Made by:"});
      to.blocks.emplace_back(Commands{lines});
    }
    to.blocks.emplace_back(
        Paragraph{"Accuracy is that of the whole test set through the deployed file. Bytes are of that file "
                  "as it runs; gzip bytes "
                  "show what another compression would make of it. Latency is one image on one thread, the "
                  "run of the plan alone, "
                  "after a warm-up. Over several seeds, figures are means, ± the standard deviation; times "
                  "are medians."});
  }

  void guide() {
    Section& to = section("Which file to ship");
    const Candidate* file = recommend(candidates_);
    if (file == nullptr) {
      to.blocks.emplace_back(
          Paragraph{"No file has an accuracy, a size and a latency: there is nothing to choose from."});
      return;
    }
    Text text("If nothing else is known: ");
    text.add_text(described(*file))
        .plain(
            ". It is the smallest file that loses at most 0.1 points against the most accurate one. To try "
            "it:");
    to.blocks.emplace_back(Paragraph{std::move(text)});
    to.blocks.emplace_back(
        Commands{try_command(*file) + "\nlathe bench " + shell_quote(file->file.string())});
    to.blocks.emplace_back(
        Paragraph{Text("With limits: the most accurate file within them, or with a lowest accuracy the "
                       "smallest one that reaches it. ")
                      .code(fmt::format("lathe report {} --max-bytes N --max-ms T --min-acc PERCENT",
                                        shell_quote(run_.folder.root.string())))
                      .plain(" says the same. These accuracies are of the test set: among files that are "
                             "nearly equal, the choice "
                             "is partly luck.")});
    to.blocks.emplace_back(ChooserBlock{candidates_});
  }

  void fronts() {
    Section& to = section("Accuracy against cost");
    to.blocks.emplace_back(
        Paragraph{"On the front is what nothing else beats: no other experiment is both cheaper and as "
                  "accurate, or as cheap and "
                  "more accurate."});
    const auto add = [&](const std::vector<std::string>& variants, const char* cost, const char* caption) {
      const auto front = front_of(deployed(groups_, variants, cost));
      if (!front.empty()) to.blocks.emplace_back(TableBlock{caption, front_table(front, cost)});
    };
    if (std::ranges::find(variants_, "int8") != variants_.end()) {
      add({"int8"}, "median_ms", "Front of int8 latency and accuracy");
      add_figures(to, "accuracy-latency");
      add({"int8"}, "bytes", "Front of int8 size and accuracy");
      add_figures(to, "accuracy-size");
    }
    add(variants_, "median_ms", "Front of latency and accuracy, all number formats together");
    add(variants_, "bytes", "Front of size and accuracy, all number formats together");
    add_figures(to, "accuracy-params");
    add_figures(to, "drop-ratio");
  }

  void results() {
    Section& to = section("Results");
    to.blocks.emplace_back(TableBlock{"Every kind, over its seeds", group_table(groups_)});
    if (std::ranges::any_of(groups_, [](const Group& group) { return group.rows.size() > 1; }))
      to.blocks.emplace_back(TableBlock{"Accuracy over the seeds", seed_table(groups_)});
  }

  void int8() {
    const Table table = int8_table(groups_);
    if (table.rows.empty()) return;
    Section& to = section("fp32 against int8");
    to.blocks.emplace_back(TableBlock{
        "What int8 costs and gains; both sides of each ratio are from the same run on the same machine",
        table});
  }

  void published() {
    const bool comparable =
        values_of(run_.rows, "config", "dataset") == "mnist" && std::ranges::none_of(run_.rows, generated);
    std::vector<std::string> behind;
    const Table table = comparable ? published_table(groups_, behind) : Table{};
    if (table.rows.empty()) return;
    Section& to = section("Against the published figures");
    Text text(
        "The published grid was made with TensorFlow, its Model Optimization Toolkit and TFLite: 10 epochs, "
        "batch 128, one "
        "seed, one latency run. Its machine is not known, so times stand side by side without a ratio.");
    const std::string epochs = values_of(run_.rows, "config", "epochs"),
                      limit = values_of(run_.rows, "config", "train_limit");
    if (epochs != "10" || limit != "0")
      text.plain(" ").strong("Here other settings were used: compare with care.");
    to.blocks.emplace_back(Paragraph{std::move(text)});
    to.blocks.emplace_back(
        TableBlock{"Ours and the published ones; a positive difference is in our favour", table});
    Bullets notes;
    for (const std::string& line : behind)
      notes.items.push_back(Text("Behind the published figures: ").plain(line));
    std::string missing;
    for (const PublishedCell& cell : published_grid()) {
      const bool here = std::ranges::any_of(
          groups_, [&](const Group& group) { return group.base == cell.base && group.kind == cell.kind; });
      if (!here) missing += fmt::format("{}{} {}", missing.empty() ? "" : ", ", cell.base, cell.kind);
      if (here && !cell.note.empty())
        notes.items.emplace_back(fmt::format("{} {}: {}.", cell.base, cell.kind, cell.note));
    }
    if (!missing.empty()) notes.items.emplace_back("Published, but not run here: " + missing + ".");
    if (!notes.items.empty()) to.blocks.emplace_back(std::move(notes));
  }

  void latency() {
    if (variants_.empty()) return;
    Section& to = section("Number formats");
    add_figures(to, "latency-");
    for (const std::string& variant : variants_) {
      Table table = variant_table(run_.rows, variant);
      if (!table.rows.empty())
        to.blocks.emplace_back(
            TableBlock{fmt::format("{}, all that was measured", variant), std::move(table)});
    }
  }

  void training() {
    Section& to = section("Training");
    to.blocks.emplace_back(TableBlock{"What was trained", training_table(run_.rows)});
    add_figures(to, "curves-", "Accuracy and loss");
    add_figures(to, "sparsity-", "Sparsity of each layer");
    add_figures(to, "weights-", "Weights before and after");
  }

  void best_models() {
    Section to{"The best models, layer by layer", {}};
    add_figures(to, "confusion-");
    add_figures(to, "layers-");
    for (const Row* row : best_of_each_base(run_.rows)) {
      Table table = layer_table(*row, variants_);
      if (!table.rows.empty())
        to.blocks.emplace_back(
            TableBlock{row->id + ": time and bytes of every layer", std::move(table), true});
    }
    if (!to.blocks.empty()) document_.sections.push_back(std::move(to));
  }

  void failures() {
    Bullets bullets;
    for (const Row& row : run_.rows)
      if (!row.error.empty()) bullets.items.push_back(Text().code(row.id).plain(": " + row.error));
    for (const std::string& problem : run_.problems) bullets.items.emplace_back(problem);
    if (!bullets.items.empty()) section("What failed").blocks.emplace_back(std::move(bullets));
  }

  void everything() {
    Section& to = section("All columns");
    to.blocks.emplace_back(Paragraph{Text("The same as ")
                                         .link("results.csv", "results.csv")
                                         .plain("; ")
                                         .link("results.json", "results.json")
                                         .plain(" has the cells whole. The models are in ")
                                         .code("models/")
                                         .plain(", the figures with data and script in ")
                                         .code("figures/")
                                         .plain(". To make this report again from the cells: ")
                                         .code("lathe report " + shell_quote(run_.folder.root.string()))
                                         .plain(".")});
    to.blocks.emplace_back(TableBlock{"All results", result_table(run_.rows), true});
  }

  const Results& run_;
  const ReportOptions& options_;
  std::vector<FigureBlock> figures_;
  std::vector<Group> groups_;
  std::vector<std::string> variants_;
  std::vector<Candidate> candidates_;
  Document document_;
};

}  // namespace

std::vector<std::string> write_report(const Results& run, const ReportOptions& options) {
  check(!run.rows.empty(), "report: there are no results in {}", run.folder.root.string());
  std::vector<std::string> missing = run.problems;
  Cell cells = Cell::array();
  for (const Row& row : run.rows) cells.push_back(row.cell);
  write_file(run.folder.root / "results.csv", to_csv(result_table(run.rows)));
  write_file(run.folder.root / "results.json", cells.dump(2) + "\n");
  std::vector<FigureBlock> figures;
  if (options.figures) figures = draw_figures(run, missing);
  const Document document = Builder(run, options, std::move(figures)).build();
  write_file(run.folder.root / "report.md", to_markdown(document));
  write_file(run.folder.root / "report.html", to_html(document));
  return missing;
}

std::vector<std::string> write_report(const ResultFolder& folder, const ReportOptions& options) {
  return write_report(read_results(folder.root), options);
}

Document comparison(const std::vector<Results>& runs) {
  Document document{.title = "Runs side by side"};
  Section what{"What is compared", {}};
  Table machines{
      {"run", "data set", "experiments", "epochs", "seeds", "processor", "kernels", "lathe", "measured"}, {}};
  for (const Results& run : runs) {
    const bool some = std::ranges::any_of(run.rows, generated);
    machines.rows.push_back(
        {run.name, values_of(run.rows, "config", "dataset") + (some ? " (generated)" : ""),
         std::to_string(run.rows.size()), values_of(run.rows, "config", "epochs"),
         values_of(run.rows, "config", "seed"), values_of(run.rows, "environment", "processor"),
         values_of(run.rows, "environment", "kernel_level"), values_of(run.rows, "environment", "lathe"),
         dates_of(run.rows)});
  }
  std::set<std::string> processors, data;
  for (const auto& row : machines.rows) processors.insert(row[5]), data.insert(row[1]);
  what.blocks.emplace_back(TableBlock{"The runs", std::move(machines)});
  if (data.size() > 1)
    what.blocks.emplace_back(Warning{"The runs are on different data: their accuracies cannot be compared."});
  what.blocks.emplace_back(
      Paragraph{processors.size() > 1
                    ? "The runs are from different processors: ratios of times compare the machines as well."
                    : "Times are from the same kind of processor but not from one run: small differences "
                      "between them are noise."});
  document.sections.push_back(std::move(what));
  for (Comparison& part : compare_runs(runs)) {
    TableBlock block{"Differences and ratios are against the first run", std::move(part.table)};
    document.sections.push_back({part.title, {std::move(block)}});
  }
  return document;
}

}  // namespace lathe::experiments
