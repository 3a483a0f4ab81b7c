#include "program.h"

#include <lathe/base/error.h>
#include <lathe/base/half.h>

#include "arena.h"
#include "kernel_table.h"
#include "lower.h"
#include "share.h"

#include <lathe/base/parallel.h>

#include <algorithm>
#include <cassert>

namespace lathe::runtime {

namespace {

/// A task with the kernel that runs it.
struct Choice {
  const KernelEntry* entry = nullptr;
  Prepared prepared;
};

class Builder {
 public:
  Builder(const graph::Graph& graph, const PlanOptions& options, Level level)
      : graph_(graph),
        sparsity_(options.sparsity),
        threads_(std::min(options.threads, num_threads())),
        lowered_(lower(graph)),
        shapes_(graph.shapes_at(options.batch)) {
    program_.batch = options.batch;
    program_.level = level;
  }

  Program build() {
    choose();
    share();
    place();
    for (std::size_t i = 0; i < lowered_.tasks.size(); ++i) add_step(i);
    for (const graph::ValueId id : graph_.inputs()) program_.inputs.push_back(port(id));
    for (const graph::ValueId id : graph_.outputs()) program_.outputs.push_back(port(id));
    return std::move(program_);
  }

 private:
  static constexpr int kNone = -1;

  std::string describe(const Task& task) const {
    const std::string& name = graph_.nodes()[task.node].name;
    return fmt::format("plan: node {}{}{} ({})", task.node, name.empty() ? "" : " ", name,
                       graph::name(task.op));
  }

  /// Does a layer quantize its f32 input as it runs?
  static bool dynamic(const Site& site) {
    const bool weighted =
        std::holds_alternative<graph::Conv2d>(site.op) || std::holds_alternative<graph::Linear>(site.op);
    return weighted && site.input(0).dtype == Dtype::f32 && site.input(1).dtype == Dtype::i8;
  }

  /// The best kernel for a task, or none.
  Choice find(const Task& task) {
    Site site{.graph = graph_,
              .op = task.op,
              .inputs = task.inputs,
              .output = task.output,
              .shapes = shapes_,
              .part = task.part,
              .pool = task.pool ? &*task.pool : nullptr,
              .sparsity = sparsity_};
    try {
      for (const KernelEntry& entry : kernel_table()) {
        if (entry.op != task.op.index() || entry.level > program_.level ||
            entry.pooled != task.pool.has_value())
          continue;
        if (entry.dynamic != dynamic(site)) continue;
        if (entry.input != site.input(0).dtype || entry.output != site.result().dtype) continue;
        site.blocking = entry.blocking;
        site.level = entry.level;
        Prepared prepared;
        if (entry.prepare(site, program_.store, prepared)) return {&entry, prepared};
      }
    } catch (const Error& error) {
      fail("{}: {}", describe(task), error.what());
    }
    return {};
  }

  /// Chooses kernels; a convolution and the pool after it become one task where there is a kernel for both.
  void choose() {
    std::vector<Task> tasks;
    for (std::size_t i = 0; i < lowered_.tasks.size(); ++i) {
      if (const std::optional<Task> joined = join_pool(graph_, lowered_, i)) {
        if (const Choice choice = find(*joined); choice.entry != nullptr) {
          tasks.push_back(*joined);
          choices_.push_back(choice);
          ++i;
          continue;
        }
      }
      const Task& task = lowered_.tasks[i];
      const Choice choice = find(task);
      check(choice.entry != nullptr, "{}: there is no kernel for {} to {}", describe(task),
            to_string(graph_.value(task.inputs[0]).dtype), to_string(graph_.value(task.output).dtype));
      tasks.push_back(task);
      choices_.push_back(choice);
    }
    lowered_.tasks = std::move(tasks);
  }

  /// Threads for each step.
  void share() {
    std::vector<StepWork> works;
    for (std::size_t i = 0; i < lowered_.tasks.size(); ++i) {
      const Task& task = lowered_.tasks[i];
      const Choice& choice = choices_[i];
      std::int64_t moved = bytes(task.output);
      for (const graph::ValueId id : task.inputs) moved += bytes(id);
      works.push_back(
          {choice.prepared.units,
           estimated_ns(flops(task), moved, graph_.value(task.inputs[0]).dtype, choice.entry->level)});
    }
    parts_ = share_steps(works, threads_);
    // The pool is made at its first use, which is not to be in run().
    if (std::ranges::any_of(parts_, [](int parts) { return parts > 1; }))
      parallel_for(threads_, 1, [](std::int64_t, std::int64_t) {});
  }

  /// Of a convolution or linear layer, weights of 0 included; 0 of all others.
  std::int64_t flops(const Task& task) const {
    if (!std::holds_alternative<graph::Conv2d>(task.op) && !std::holds_alternative<graph::Linear>(task.op))
      return 0;
    const Shape& weight = graph_.value(task.inputs[1]).shape;
    return 2 * shape(graph_.nodes()[task.node].output).size() * (weight.size() / weight[0]);
  }

  graph::ValueId storage(graph::ValueId id) const { return lowered_.storage[static_cast<std::size_t>(id)]; }
  const Shape& shape(graph::ValueId id) const { return shapes_[static_cast<std::size_t>(id)]; }

  std::int64_t bytes(graph::ValueId id) const {
    return shape(id).size() * static_cast<std::int64_t>(size_of(graph_.value(id).dtype));
  }

  /// The last step that reads or writes a value's memory.
  std::vector<int> last_steps() const {
    std::vector<int> last(graph_.values().size(), 0);
    const int end = static_cast<int>(lowered_.tasks.size());
    for (int step = 0; step < end; ++step) {
      const Task& task = lowered_.tasks[static_cast<std::size_t>(step)];
      for (const graph::ValueId id : task.inputs) last[static_cast<std::size_t>(storage(id))] = step;
      last[static_cast<std::size_t>(storage(task.output))] = step;
    }
    for (const graph::ValueId id : graph_.outputs()) last[static_cast<std::size_t>(storage(id))] = end;
    return last;
  }

  /// The buffer in which the step may leave its result: that of an input of the same size that nobody reads
  /// afterwards.
  int reusable(const Task& task, const Choice& choice, int step, const std::vector<int>& last) const {
    if (!choice.entry->in_place) return kNone;
    for (const graph::ValueId id : task.inputs) {
      const graph::ValueId owner = storage(id);
      const int buffer = buffer_[static_cast<std::size_t>(owner)];
      if (buffer != kNone && last[static_cast<std::size_t>(owner)] == step && bytes(id) == bytes(task.output))
        return buffer;
    }
    return kNone;
  }

  static std::int64_t scratch_stride(const Choice& choice) {
    constexpr std::int64_t kAlignment = ArenaPlanner::kAlignment;
    return (choice.prepared.scratch_bytes + kAlignment - 1) / kAlignment * kAlignment;
  }

  void place() {
    const std::vector<int> last = last_steps();
    buffer_.assign(graph_.values().size(), kNone);
    for (const graph::ValueId id : graph_.inputs())
      buffer_[static_cast<std::size_t>(id)] = arena_.add(bytes(id), 0, last[static_cast<std::size_t>(id)]);
    for (std::size_t i = 0; i < lowered_.tasks.size(); ++i) {
      const Task& task = lowered_.tasks[i];
      const int step = static_cast<int>(i);
      int& buffer = buffer_[static_cast<std::size_t>(task.output)];
      if (buffer == kNone) {
        const int until = last[static_cast<std::size_t>(task.output)];
        buffer = reusable(task, choices_[i], step, last);
        if (buffer != kNone) {
          arena_.extend(buffer, until);
        } else {
          buffer = arena_.add(bytes(task.output), step, until);
        }
      }
      scratch_.push_back(arena_.add(parts_[i] * scratch_stride(choices_[i]), step, step));
    }
    arena_.place();
    assert(sound(arena_.buffers(), arena_.total()));
    program_.arena_bytes = arena_.total();
    program_.arena = Memory(static_cast<std::size_t>(arena_.total()));
  }

  /// Where a value lies while the plan runs. Constants are copied into the store, so that the plan owns all
  /// it reads.
  void* data(graph::ValueId id) {
    const graph::ValueId owner = storage(id);
    const graph::Value& value = graph_.value(owner);
    if (value.is_constant()) {
      const std::span<const std::byte> bytes = value.data->bytes();
      return const_cast<std::byte*>(program_.store.copy(bytes));
    }
    return program_.arena.data() + arena_.offset(buffer_[static_cast<std::size_t>(owner)]);
  }

  void add_step(std::size_t index) {
    const Task& task = lowered_.tasks[index];
    const Choice& choice = choices_[index];
    Step step{.kernel = choice.entry->run,
              .call = {},
              .range = {0, choice.prepared.units},
              .parts = parts_[index],
              .scratch_stride = scratch_stride(choice)};
    step.call.params = choice.prepared.params;
    step.call.input = data(task.inputs[task.part]);
    if (binary(task.op)) step.call.second = data(task.inputs[1]);
    step.call.output = data(task.output);
    step.call.scratch = program_.arena.data() + arena_.offset(scratch_[index]);
    program_.steps.push_back(step);
    program_.infos.push_back(info(task, choice));
    program_.infos.back().threads = parts_[index];
  }

  static bool binary(const graph::Op& op) {
    return std::holds_alternative<graph::Add>(op) || std::holds_alternative<graph::Multiply>(op);
  }

  static double zeros_of(const graph::Value& weight) {
    const auto zeros = weight.dtype == Dtype::i8 ? std::ranges::count(weight.elements<std::int8_t>(), 0)
                                                 : std::ranges::count(weight.elements<float>(), 0.f);
    return static_cast<double>(zeros) / static_cast<double>(weight.shape.size());
  }

  StepInfo info(const Task& task, const Choice& choice) const {
    const std::int64_t products = flops(task);
    const double zeros = products > 0 ? zeros_of(graph_.value(task.inputs[1])) : 0;
    const std::string pool = task.pool ? " + " + graph::to_string(*task.pool) : "";
    return {.op = graph::to_string(task.op) + pool,
            .name = graph_.nodes()[task.node].name,
            .kernel = fmt::format("{}_{}", choice.entry->name, to_string(choice.entry->level)),
            .output = shape(task.output),
            .dtype = graph_.value(task.output).dtype,
            .flops = products,
            .zeros = zeros,
            .sparse = choice.entry->sparse};
  }

  Port port(graph::ValueId id) {
    return {
        .name = graph_.value(id).name, .shape = shape(id), .dtype = graph_.value(id).dtype, .data = data(id)};
  }

  const graph::Graph& graph_;
  Sparsity sparsity_;
  int threads_;
  Lowered lowered_;
  std::vector<Shape> shapes_;
  std::vector<Choice> choices_;
  ArenaPlanner arena_;
  std::vector<int> buffer_;   // by value: index in arena_
  std::vector<int> scratch_;  // by task
  std::vector<int> parts_;    // by task: threads that share it
  Program program_;
};

/// Constants stored as halves become floats, so that every float kernel takes them.
graph::Graph expand_halves(graph::Graph graph) {
  for (std::size_t i = 0; i < graph.values().size(); ++i) {
    graph::Value& value = graph.value(static_cast<graph::ValueId>(i));
    if (value.dtype != Dtype::f16) continue;
    std::vector<float> elements;
    for (std::uint16_t bits : value.elements<std::uint16_t>()) elements.push_back(half_to_float(bits));
    value.data = graph::ConstantData::copy(std::as_bytes(std::span(elements)));
    value.dtype = Dtype::f32;
  }
  return graph;
}

}  // namespace

Program build_program(const graph::Graph& graph, const PlanOptions& options, Level available) {
  check(options.batch >= 1, "plan: the batch size must be at least 1, given {}", options.batch);
  check(options.threads >= 1 && options.threads <= 256, "plan: threads: {} is out of range, expected 1..256",
        options.threads);
  const Level level = options.level.value_or(available);
  check(level <= available, "plan: level {} was asked for, this processor runs up to {}", to_string(level),
        to_string(available));
  graph::verify(graph);
  const graph::Graph expanded = expand_halves(graph);
  return Builder(expanded, options, level).build();
}

}  // namespace lathe::runtime
