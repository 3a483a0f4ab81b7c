#include <lathe/base/error.h>
#include <lathe/base/parallel.h>
#include <lathe/runtime/plan.h>

#include "denormals.h"
#include "program.h"

#include <chrono>
#include <utility>

namespace lathe::runtime {

struct Plan::Impl {
  explicit Impl(Program made) : program(std::move(made)) {}
  Program program;
};

Plan::Plan(const graph::Graph& graph, const PlanOptions& options)
    : impl_(std::make_unique<Impl>(build_program(graph, options, best_level()))) {}
Plan::~Plan() = default;
Plan::Plan(Plan&&) noexcept = default;
Plan& Plan::operator=(Plan&&) noexcept = default;

namespace {

const Port& port(const std::vector<Port>& ports, std::string_view what, std::size_t index) {
  check(index < ports.size(), "plan: there is no {} {}, the plan has {}", what, index, ports.size());
  return ports[index];
}

void* port_data(const std::vector<Port>& ports, std::string_view what, std::size_t index, Dtype dtype) {
  const Port& one = port(ports, what, index);
  check(one.dtype == dtype, "plan: {} {} is {}, asked for as {}", what, index, to_string(one.dtype),
        to_string(dtype));
  return one.data;
}

}  // namespace

std::size_t Plan::inputs() const { return impl_->program.inputs.size(); }
std::size_t Plan::outputs() const { return impl_->program.outputs.size(); }
const Shape& Plan::input_shape(std::size_t index) const& {
  return port(impl_->program.inputs, "input", index).shape;
}
const Shape& Plan::output_shape(std::size_t index) const& {
  return port(impl_->program.outputs, "output", index).shape;
}
Dtype Plan::input_dtype(std::size_t index) const { return port(impl_->program.inputs, "input", index).dtype; }
Dtype Plan::output_dtype(std::size_t index) const {
  return port(impl_->program.outputs, "output", index).dtype;
}

void* Plan::input_data(std::size_t index, Dtype dtype) {
  return port_data(impl_->program.inputs, "input", index, dtype);
}
const void* Plan::output_data(std::size_t index, Dtype dtype) const {
  return port_data(impl_->program.outputs, "output", index, dtype);
}

namespace {

/// `step_ns`: of a group, what to add its steps' times to, or null.
void run_part(const Step& step, std::int64_t part, std::int64_t* step_ns) {
  const std::int64_t units = step.range.end;
  const Range range{units * part / step.parts, units * (part + 1) / step.parts};
  Call call = step.call;
  std::byte* scratch = static_cast<std::byte*>(call.scratch) + part * step.scratch_stride;
  call.scratch = scratch;
  if (step.kernel == nullptr) return run_strips(step.group, range, scratch, part == 0 ? step_ns : nullptr);
  step.kernel(call, range);
}

void run_step(const Step& step, std::int64_t* step_ns = nullptr) {
  if (step.parts == 1) return run_part(step, 0, step_ns);
  parallel_for(step.parts, 1, [&](std::int64_t begin, std::int64_t end) {
    const FlushDenormals flush;
    for (std::int64_t part = begin; part < end; ++part) run_part(step, part, step_ns);
  });
}

}  // namespace

void Plan::run() noexcept {
  const FlushDenormals flush;
  for (const Step& step : impl_->program.steps) run_step(step);
}

void Plan::run_timed(std::span<std::int64_t> step_ns) noexcept {
  const FlushDenormals flush;
  using Clock = std::chrono::steady_clock;
  const std::vector<Step>& steps = impl_->program.steps;
  std::size_t i = 0;  // of step_ns
  Clock::time_point before = Clock::now();
  for (const Step& step : steps) {
    const std::size_t count = std::max<std::size_t>(step.group.steps.size(), 1);
    const bool wanted = i + count <= step_ns.size();
    run_step(step, wanted ? &step_ns[i] : nullptr);
    const Clock::time_point after = Clock::now();
    if (wanted && step.kernel != nullptr)
      step_ns[i] += std::chrono::duration_cast<std::chrono::nanoseconds>(after - before).count();
    before = after;
    i += count;
  }
}

const std::vector<StepInfo>& Plan::steps() const& { return impl_->program.infos; }
std::int64_t Plan::arena_bytes() const { return impl_->program.arena_bytes; }
std::int64_t Plan::packed_bytes() const { return impl_->program.store.bytes(); }
std::int64_t Plan::batch() const { return impl_->program.batch; }

std::string Plan::text() const {
  const Program& program = impl_->program;
  const auto place = [&](const void* data) {
    return static_cast<const std::byte*>(data) - program.arena.data();
  };
  const auto tensor = [&](Dtype dtype, const Shape& shape, const void* data) {
    return fmt::format("{}{} @{}", to_string(dtype), to_string(shape),
                       data == nullptr ? "strips" : std::to_string(place(data)));
  };
  std::string text = fmt::format("plan level={} batch={} arena={}\n", to_string(program.level), program.batch,
                                 program.arena_bytes);
  for (const Port& input : program.inputs)
    text += fmt::format("input {} {}\n", input.name, tensor(input.dtype, input.shape, input.data));
  for (std::size_t i = 0; i < program.infos.size(); ++i) {
    const StepInfo& info = program.infos[i];
    text += fmt::format("{:<28} {} {} {}\n", info.kernel, tensor(info.dtype, info.output, program.places[i]),
                        info.op, info.name);
  }
  for (const Port& output : program.outputs)
    text += fmt::format("output {}\n", tensor(output.dtype, output.shape, output.data));
  return text;
}

}  // namespace lathe::runtime
