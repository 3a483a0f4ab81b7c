#pragma once

#include <lathe/graph/graph.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// The inference runtime: a Graph becomes a Plan (kernels chosen, weights packed, buffers placed), a Plan runs.
/// Everything that can be decided or fail happens while the plan is made; run() neither allocates, branches on types, locks nor
/// throws (with several threads: as long as set_num_threads() is not called after the plan was made).
namespace lathe::runtime {

/// Instruction sets that kernels are written for, in rising order; each includes the ones before.
enum class Level : std::uint8_t {
  reference,  ///< plain loops: what the others are tested against
  portable,   ///< C++ that compilers vectorise for any processor
  avx2,       ///< AVX2 and FMA
  avx512,     ///< AVX-512 F, BW, DQ, VL, VNNI
};

std::string_view to_string(Level level);
/// Throws Error with the list of names when there is none of this name.
Level parse_level(std::string_view name);
/// The highest that this processor and operating system run.
Level best_level();

/// Whether layers with many weights of 0 leave them out: single ones of f32 layers; of convolutions of any kind blocks of one input
/// (8-bit codes: four neighbouring, 16-bit: two) to sixteen outputs. An infinite input times such a weight is then 0, not NaN.
enum class Sparsity : std::uint8_t {
  choose,  ///< where an estimate, fitted to measurements, says that it is faster
  never,
  always,  ///< single ones wherever there is a kernel
};

/// Whether neighbouring layers that work row by row run together in strips of rows, which stay in the cache instead of going
/// through memory and take less of it. The outputs are the same.
enum class Strips : std::uint8_t {
  choose,  ///< where what lies between two layers is large
  never,
  always,  ///< wherever it is possible
};

struct PlanOptions {
  std::int64_t batch = 1;
  /// Kernels above this level are not used. Default: best_level(). Throws Error when the processor lacks it.
  std::optional<Level> level;
  Sparsity sparsity = Sparsity::choose;
  Strips strips = Strips::choose;
  /// Steps with enough work are shared among at most so many threads of those that parallel_for uses (lathe/base/parallel.h), and
  /// never more than there are; the others, and all of a network that takes microseconds, stay on one. The outputs are the same.
  int threads = 1;
};

/// One step of a plan, for people.
struct StepInfo {
  std::string op;      ///< "conv2d(activation=relu)"
  std::string name;    ///< of the node
  std::string kernel;  ///< "conv2d_i8_vnni"
  Shape output;
  Dtype dtype = Dtype::f32;
  std::int64_t flops = 0;      ///< weights of 0 included
  double zeros = 0;            ///< share of a layer's weights that are 0
  bool sparse = false;         ///< the kernel leaves them out
  int threads = 1;             ///< that share the step
  int strip = 0;               ///< > 0: runs together with the steps beside it that have the same number
};

/// A network ready to run at one batch size. One plan serves one thread at a time; plans of the same graph are independent.
class Plan {
 public:
  /// Throws Error naming the node when no kernel takes it.
  explicit Plan(const graph::Graph& graph, const PlanOptions& options = {});
  ~Plan();
  Plan(Plan&&) noexcept;
  Plan& operator=(Plan&&) noexcept;

  std::size_t inputs() const;
  std::size_t outputs() const;
  const Shape& input_shape(std::size_t index = 0) const&;
  const Shape& output_shape(std::size_t index = 0) const&;
  Dtype input_dtype(std::size_t index = 0) const;
  Dtype output_dtype(std::size_t index = 0) const;

  /// Where to put the input and where the output is after run(); inside the arena. An input buffer is overwritten by run().
  /// T must match the dtype (Error otherwise).
  template <typename T>
  std::span<T> input(std::size_t index = 0) & {
    return {static_cast<T*>(input_data(index, DtypeOf<T>::value)), static_cast<std::size_t>(input_shape(index).size())};
  }
  template <typename T>
  std::span<const T> output(std::size_t index = 0) const& {
    return {static_cast<const T*>(output_data(index, DtypeOf<T>::value)),
            static_cast<std::size_t>(output_shape(index).size())};
  }

  /// Numbers below 1.2e-38 count as 0, for which processors take a hundred times as long; afterwards the thread's mode is as before.
  void run() noexcept;

  /// run() with a clock around each step: adds nanoseconds to `step_ns` (as many as steps()). Of steps that run together on several
  /// threads these are one thread's.
  void run_timed(std::span<std::int64_t> step_ns) noexcept;

  const std::vector<StepInfo>& steps() const&;
  /// Bytes of the arena that holds all activations, and of the packed weights.
  std::int64_t arena_bytes() const;
  std::int64_t packed_bytes() const;
  std::int64_t batch() const;
  /// A line per step with kernel, shape and arena offset; stable for golden files.
  std::string text() const;

 private:
  void* input_data(std::size_t index, Dtype dtype);
  const void* output_data(std::size_t index, Dtype dtype) const;
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lathe::runtime
