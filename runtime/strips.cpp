#include "strips.h"

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cstring>

namespace lathe::runtime {

namespace {

/// Rows that stay in the second-level cache beside weights and what is read and written outside.
constexpr std::int64_t kStripBytes = 384 * 1024;
/// What is smaller stays in that cache as a whole.
constexpr std::int64_t kLeastBytes = 1024 * 1024;
constexpr std::int64_t kAlignment = 64, kSlack = 64;  // kernels read whole vectors

std::int64_t aligned(std::int64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

/// Rows of the step before that `rows` rows read at most.
std::int64_t reads(const RowStep& step, std::int64_t rows) {
  return std::min(step.in_rows, (rows - 1) * step.window.stride + step.window.kernel);
}

struct Rows {
  std::int64_t begin = 0, end = 0;
};

/// The rows of the step before that output rows read.
Rows read_by(const RowStep& step, Rows rows) {
  const RowWindow& window = step.window;
  const std::int64_t begin =
      std::clamp<std::int64_t>(rows.begin * window.stride - window.pad, 0, step.in_rows);
  const std::int64_t end =
      std::clamp((rows.end - 1) * window.stride - window.pad + window.kernel, begin, step.in_rows);
  return {begin, end};
}

}  // namespace

std::vector<int> group_steps(std::span<const RowStep> steps, bool always) {
  std::vector<int> groups;
  for (std::size_t i = 0; i < steps.size();) {
    std::size_t end = i + 1;
    const auto joins = [&](std::size_t next) {
      if (!steps[next].by_rows || !steps[next - 1].by_rows || !steps[next].follows) return false;
      if (end - i >= kMostStripSteps) return false;
      const bool tail = steps[next].elementwise && end - i >= 2;  // in strips already
      return always || tail || (steps[next - 1].bytes >= kLeastBytes && !steps[next].restages);
    };
    while (end < steps.size() && joins(end)) ++end;
    groups.push_back(static_cast<int>(end - i));
    i = end;
  }
  return groups;
}

void place_strips(StripGroup& group) {
  std::vector<StripStep>& steps = group.steps;
  assert(steps.size() >= 2 && steps.size() <= kMostStripSteps);
  const auto place = [&](std::int64_t strip) {
    group.strip = strip;
    std::int64_t rows = strip, at = 0;
    for (std::size_t i = steps.size() - 1; i-- > 0;) {
      rows = reads(steps[i + 1].rows, rows);
      steps[i].capacity = rows;
    }
    for (std::size_t i = 0; i + 1 < steps.size(); ++i) {
      StripStep& step = steps[i];
      if (step.in_place) continue;
      step.buffer = at;
      at += aligned(step.capacity * step.rows.row_bytes + kSlack);
    }
    group.kernel_scratch = at;
    return at;
  };
  std::int64_t strip = steps.back().rows.out_rows;
  while (place(strip) > kStripBytes && strip > 1) --strip;
  std::int64_t most = 0;
  for (const StripStep& step : steps) most = std::max(most, step.rows.scratch_bytes);
  group.scratch_bytes = group.kernel_scratch + aligned(most);
}

namespace {

/// Rows of a step that are in the scratch memory: [base, done), of which those before the ones read next are
/// forgotten.
struct Held {
  std::int64_t base = 0, done = 0;
};

/// The address that row 0 would have. As a number: it may lie before the memory.
void* row_zero(std::byte* memory, std::int64_t base, std::int64_t row_bytes) {
  return reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(memory) -
                                 static_cast<std::uintptr_t>(base * row_bytes));
}

const void* moved(const void* data, std::int64_t bytes) {
  return data == nullptr ? data : static_cast<const std::byte*>(data) + bytes;
}

/// Makes room for rows up to `end`; of those there are, the ones from `begin` on are kept.
void make_room(const StripStep& step, Rows rows, Held& held, std::byte* memory) {
  if (held.done <= rows.begin) {
    held = {rows.begin, rows.begin};
  } else if (rows.end - held.base > step.capacity) {
    std::memmove(memory, memory + (rows.begin - held.base) * step.rows.row_bytes,
                 static_cast<std::size_t>((held.done - rows.begin) * step.rows.row_bytes));
    held.base = rows.begin;
  }
}

/// Makes output rows of one image.
class Strips {
 public:
  Strips(const StripGroup& group, std::int64_t image, std::byte* scratch, std::int64_t* step_ns)
      : group_(group), image_(image), scratch_(scratch), step_ns_(step_ns) {}

  void make(Rows rows) {
    using Clock = std::chrono::steady_clock;
    const std::size_t count = group_.steps.size();
    Rows wanted[kMostStripSteps];
    wanted[count - 1] = rows;
    for (std::size_t i = count - 1; i-- > 0;) wanted[i] = read_by(group_.steps[i + 1].rows, wanted[i + 1]);
    auto before = step_ns_ == nullptr ? Clock::time_point() : Clock::now();
    for (std::size_t i = 0; i < count; ++i) {
      step(i, wanted[i]);
      if (step_ns_ == nullptr) continue;
      const auto after = Clock::now();
      step_ns_[i] += std::chrono::duration_cast<std::chrono::nanoseconds>(after - before).count();
      before = after;
    }
  }

 private:
  void step(std::size_t i, Rows rows) {
    const StripStep& step = group_.steps[i];
    Call call = step.call;
    call.scratch = scratch_ + group_.kernel_scratch;
    call.input = moved(call.input, image_ * step.input_step);
    call.second = moved(call.second, image_ * step.second_step);
    if (i > 0) (step.strip_second ? call.second : call.input) = left_;
    if (i + 1 == group_.steps.size()) {
      call.output = static_cast<std::byte*>(call.output) + image_ * step.output_step;
    } else if (step.in_place) {
      held_[i] = {held_[i - 1].base, std::max(held_[i].done, rows.begin)};
      call.output = left_;
    } else {
      std::byte* memory = scratch_ + step.buffer;
      make_room(step, rows, held_[i], memory);
      call.output = left_ = row_zero(memory, held_[i].base, step.rows.row_bytes);
    }
    const std::int64_t first = i + 1 == group_.steps.size() ? rows.begin : held_[i].done;
    held_[i].done = rows.end;
    if (first < rows.end) step.kernel(call, {first * step.units_per_row, rows.end * step.units_per_row});
  }

  const StripGroup& group_;
  std::int64_t image_;
  std::byte* scratch_;
  std::int64_t* step_ns_;
  Held held_[kMostStripSteps] = {};
  void* left_ = nullptr;  // what the step before left, as from its row 0
};

}  // namespace

void run_strips(const StripGroup& group, Range rows, std::byte* scratch, std::int64_t* step_ns) noexcept {
  const std::int64_t height = group.steps.back().rows.out_rows;
  for (std::int64_t row = rows.begin; row < rows.end;) {
    const std::int64_t image = row / height, first = image * height;
    const std::int64_t end = std::min(rows.end - first, height);
    Strips strips(group, image, scratch, step_ns);
    for (std::int64_t h = row - first; h < end; h += group.strip)
      strips.make({h, std::min(h + group.strip, end)});
    row = first + end;
  }
}

}  // namespace lathe::runtime
