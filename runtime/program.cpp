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
        strips_(options.strips),
        threads_(std::min(options.threads, num_threads())),
        lowered_(lower(graph)),
        shapes_(graph.shapes_at(options.batch)) {
    program_.batch = options.batch;
    program_.level = level;
  }

  Program build() {
    choose();
    group();
    share();
    place();
    for (std::size_t i = 0; i < steps_.size(); ++i) add_step(i);
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

  /// Tasks that run together.
  struct TaskGroup {
    std::size_t first = 0, count = 1;
    StripGroup strips;  // of two tasks and more

    std::size_t last() const { return first + count - 1; }
  };

  /// Is what a task leaves read by the next one only?
  bool read_next_only(std::size_t index) const {
    const std::vector<Task>& tasks = lowered_.tasks;
    const graph::ValueId left = storage(tasks[index].output);
    if (storage(tasks[index + 1].output) == left) return true;  // and then it is another value
    const auto same = [&](graph::ValueId id) { return storage(id) == left; };
    if (std::ranges::any_of(graph_.outputs(), same)) return false;
    std::int64_t readers = 0;
    for (std::size_t i = index + 1; i < tasks.size(); ++i)
      readers += std::ranges::count_if(tasks[i].inputs, same);
    return readers == 1;
  }

  /// The operand of task `index` that the task before leaves to it alone, in the same shape, or none.
  int handed(std::size_t index) const {
    if (index == 0 || !read_next_only(index - 1)) return kNone;
    const Task &task = lowered_.tasks[index], &before = lowered_.tasks[index - 1];
    for (std::size_t k = 0; k < task.inputs.size() && k < 2; ++k)
      if (storage(task.inputs[k]) == storage(before.output) &&
          shape(task.inputs[k]) == shape(before.output) &&
          (k == 0 || shape(task.inputs[k]) == shape(task.output)))
        return static_cast<int>(k);
    return kNone;
  }

  /// A task as far as strips go.
  RowStep row_step(std::size_t index) const {
    const Task& task = lowered_.tasks[index];
    const Choice& choice = choices_[index];
    const Shape &out = shape(task.output), &in = shape(task.inputs[0]);
    const auto* conv = std::get_if<graph::Conv2d>(&task.op);
    const bool elementwise = binary(task.op) || std::holds_alternative<graph::Activate>(task.op) ||
                             std::holds_alternative<graph::BatchNorm>(task.op);
    if (out.rank() != 4 || task.pool || choice.entry->dynamic || (conv == nullptr && !elementwise)) return {};
    RowStep step{.by_rows = choice.prepared.units % (out[0] * out[1]) == 0,
                 .follows = handed(index) != kNone,
                 .elementwise = elementwise,
                 .in_rows = in[1],
                 .out_rows = out[1],
                 .row_bytes = bytes(task.output) / (out[0] * out[1]),
                 .bytes = bytes(task.output),
                 .scratch_bytes = choice.prepared.scratch_bytes};
    if (conv != nullptr) {
      const Shape& weight = graph_.value(task.inputs[1]).shape;
      const graph::Window window = graph::slide("conv2d", in[1], weight[1], conv->stride_h, conv->padding);
      step.window = {weight[1], conv->stride_h, window.before};
      step.restages = weight[1] > 1 && weight[3] > 1;
    }
    return step;
  }

  /// Steps: tasks, and groups of tasks that run in strips.
  void group() {
    std::vector<RowStep> rows;
    for (std::size_t i = 0; i < lowered_.tasks.size(); ++i) rows.push_back(row_step(i));
    std::vector<int> counts(rows.size(), 1);
    if (strips_ != Strips::never) counts = group_steps(rows, strips_ == Strips::always);
    std::size_t first = 0;
    for (const int count : counts) {
      TaskGroup& group =
          steps_.emplace_back(TaskGroup{.first = first, .count = static_cast<std::size_t>(count)});
      first += group.count;
      if (count == 1) continue;
      for (std::size_t i = group.first; i <= group.last(); ++i) {
        const bool in_place = i > group.first && i < group.last() && rows[i].elementwise &&
                              rows[i].row_bytes == rows[i - 1].row_bytes && choices_[i].entry->in_place;
        const Shape& out = shape(lowered_.tasks[i].output);
        group.strips.steps.push_back({.kernel = choices_[i].entry->run,
                                      .rows = rows[i],
                                      .units_per_row = choices_[i].prepared.units / (out[0] * out[1]),
                                      .strip_second = i > group.first && handed(i) == 1,
                                      .in_place = in_place});
      }
      place_strips(group.strips);
    }
  }

  /// Threads for each step.
  void share() {
    std::vector<StepWork> works;
    for (const TaskGroup& step : steps_) {
      StepWork work{.units = choices_[step.first].prepared.units};
      if (step.count > 1) {
        const Shape& out = shape(lowered_.tasks[step.last()].output);
        work.units = out[0] * out[1];
      }
      for (std::size_t i = step.first; i <= step.last(); ++i) {
        const Task& task = lowered_.tasks[i];
        std::int64_t moved = bytes(task.output);
        for (const graph::ValueId id : task.inputs) moved += bytes(id);
        work.nanoseconds +=
            estimated_ns(flops(task), moved, graph_.value(task.inputs[0]).dtype, choices_[i].entry->level);
      }
      works.push_back(work);
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
    const int end = static_cast<int>(steps_.size());
    for (int step = 0; step < end; ++step) {
      const TaskGroup& group = steps_[static_cast<std::size_t>(step)];
      for (std::size_t i = group.first; i <= group.last(); ++i) {
        const Task& task = lowered_.tasks[i];
        for (const graph::ValueId id : task.inputs) last[static_cast<std::size_t>(storage(id))] = step;
        last[static_cast<std::size_t>(storage(task.output))] = step;
      }
    }
    for (const graph::ValueId id : graph_.outputs()) last[static_cast<std::size_t>(storage(id))] = end;
    return last;
  }

  /// Tasks of a group that read a value.
  std::int64_t readers(const TaskGroup& group, graph::ValueId owner) const {
    std::int64_t count = 0;
    for (std::size_t i = group.first; i <= group.last(); ++i)
      count += std::ranges::any_of(lowered_.tasks[i].inputs, [&](auto id) { return storage(id) == owner; });
    return count;
  }

  /// The buffer in which the step may leave its result: that of an input of its last task, of the same size,
  /// that nobody reads afterwards, and no other row of which a strip reads.
  int reusable(const TaskGroup& group, int step, const std::vector<int>& last) const {
    const Task& task = lowered_.tasks[group.last()];
    if (!choices_[group.last()].entry->in_place) return kNone;
    for (const graph::ValueId id : task.inputs) {
      const graph::ValueId owner = storage(id);
      const int buffer = buffer_[static_cast<std::size_t>(owner)];
      if (buffer != kNone && last[static_cast<std::size_t>(owner)] == step &&
          bytes(id) == bytes(task.output) && readers(group, owner) == 1)
        return buffer;
    }
    return kNone;
  }

  std::int64_t scratch_stride(const TaskGroup& group) const {
    constexpr std::int64_t kAlignment = ArenaPlanner::kAlignment;
    const std::int64_t bytes =
        group.count > 1 ? group.strips.scratch_bytes : choices_[group.first].prepared.scratch_bytes;
    return (bytes + kAlignment - 1) / kAlignment * kAlignment;
  }

  void place() {
    const std::vector<int> last = last_steps();
    buffer_.assign(graph_.values().size(), kNone);
    for (const graph::ValueId id : graph_.inputs())
      buffer_[static_cast<std::size_t>(id)] = arena_.add(bytes(id), 0, last[static_cast<std::size_t>(id)]);
    for (std::size_t i = 0; i < steps_.size(); ++i) {
      const graph::ValueId output = lowered_.tasks[steps_[i].last()].output;
      const int step = static_cast<int>(i);
      int& buffer = buffer_[static_cast<std::size_t>(output)];
      if (buffer == kNone) {
        const int until = last[static_cast<std::size_t>(output)];
        buffer = reusable(steps_[i], step, last);
        if (buffer != kNone) {
          arena_.extend(buffer, until);
        } else {
          buffer = arena_.add(bytes(output), step, until);
        }
      }
      scratch_.push_back(arena_.add(parts_[i] * scratch_stride(steps_[i]), step, step));
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

  /// The call of a task without scratch memory; of a group's tasks what lies in strips is left out.
  Call call_of(const TaskGroup& group, std::size_t index) {
    const Task& task = lowered_.tasks[index];
    const int strip = index > group.first ? handed(index) : kNone;
    Call call{.params = choices_[index].prepared.params};
    if (strip != 0) call.input = data(task.inputs[task.part]);
    if (binary(task.op) && strip != 1) call.second = data(task.inputs[1]);
    if (index == group.last()) call.output = data(task.output);
    return call;
  }

  void add_step(std::size_t index) {
    TaskGroup& group = steps_[index];
    const Choice& choice = choices_[group.first];
    Step step{
        .range = {0, choice.prepared.units}, .parts = parts_[index], .scratch_stride = scratch_stride(group)};
    if (group.count == 1) {
      step.kernel = choice.entry->run;
      step.call = call_of(group, group.first);
    } else {
      const Shape& out = shape(lowered_.tasks[group.last()].output);
      step.range.end = out[0] * out[1];
      for (std::size_t i = group.first; i <= group.last(); ++i) {
        const Task& task = lowered_.tasks[i];
        StripStep& strip = group.strips.steps[i - group.first];
        strip.call = call_of(group, i);
        strip.input_step = bytes(task.inputs[0]) / out[0];
        if (binary(task.op)) strip.second_step = bytes(task.inputs[1]) / out[0];
        strip.output_step = bytes(task.output) / out[0];
      }
      step.group = group.strips;
    }
    step.call.scratch = program_.arena.data() + arena_.offset(scratch_[index]);
    if (group.count > 1) ++strip_groups_;
    for (std::size_t i = group.first; i <= group.last(); ++i) {
      StepInfo info = info_of(lowered_.tasks[i], choices_[i]);
      info.threads = parts_[index];
      info.strip = group.count > 1 ? strip_groups_ : 0;
      program_.infos.push_back(info);
      program_.places.push_back(i == group.last() ? data(lowered_.tasks[i].output) : nullptr);
    }
    program_.steps.push_back(std::move(step));
  }

  static bool binary(const graph::Op& op) {
    return std::holds_alternative<graph::Add>(op) || std::holds_alternative<graph::Multiply>(op);
  }

  static double zeros_of(const graph::Value& weight) {
    const auto zeros = weight.dtype == Dtype::i8 ? std::ranges::count(weight.elements<std::int8_t>(), 0)
                                                 : std::ranges::count(weight.elements<float>(), 0.f);
    return static_cast<double>(zeros) / static_cast<double>(weight.shape.size());
  }

  StepInfo info_of(const Task& task, const Choice& choice) const {
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
  Strips strips_;
  int threads_;
  Lowered lowered_;
  std::vector<Shape> shapes_;
  std::vector<Choice> choices_;
  ArenaPlanner arena_;
  std::vector<int> buffer_;  // by value: index in arena_
  std::vector<TaskGroup> steps_;
  std::vector<int> scratch_;  // by step
  std::vector<int> parts_;    // by step: threads that share it
  int strip_groups_ = 0;
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
