#pragma once

#include "kernels/packed.h"
#include "prepare.h"
#include "real_rescale.h"

#include <span>
#include <vector>

namespace lathe::runtime {

/// How vector kernels accumulate and rescale.
enum class Sums {
  i8,       ///< 8-bit codes in 32 bits
  i16,      ///< 16-bit codes in 32 bits
  i16_wide  ///< 16-bit codes in 64 bits (kernels/generic/wide.h)
};

/// The order of lanes that interleaving rows within 16 bytes leaves in a chunk: register r holds, of each 16
/// bytes, the elements 4 * r to 4 * r + 3.
struct LaneOrder {
  std::int64_t chunk = kLanes;
  std::int64_t parts = 0;  ///< of 16 bytes in a chunk; 0: in their own order

  std::int64_t operator()(std::int64_t lane) const {
    if (parts == 0) return lane;
    const std::int64_t within = lane % chunk, in_register = within % (4 * parts);
    return lane - within + in_register / 4 * (chunk / parts) + within / (4 * parts) * 4 + in_register % 4;
  }
};

/// Rescaling of an op's output channels as they repeat over `lanes` lanes: lane i is channel order(i) %
/// bound.size(). bound[c]: no accumulator of the channel is larger. Empty when a factor is out of the range
/// for which the vector form is exact (kernels/packed.h); the reference kernel takes those.
std::span<LaneRescale> make_lane_rescale(Sums sums, const Rescale& rescale,
                                         std::span<const std::int64_t> bound, std::size_t lanes, Store& store,
                                         const LaneOrder& order = {});

/// The limits of the codes, and whether codes below the zero point can come out.
CodeLimits code_limits(const Rescale& rescale);

/// Output channels as the lanes of packed weights hold them: lane i is channel first + order(i) % channels.
struct LaneChannels {
  std::int32_t first = 0, channels = 0;
  std::int64_t lanes = kLanes;
  LaneOrder order;
};

/// A convolution or linear layer of codes (i8 or i16; weights i8) as the vector kernels want it.
class IntegerLayer {
 public:
  /// `offset`: what the kernel adds to (code - zero point) before it multiplies; the bias makes up for it.
  IntegerLayer(const Site& site, graph::Activation activation, Sums sums, std::int32_t offset, Store& store);

  std::span<const std::int8_t> weight() const { return weight_; }
  /// Can the kernel's accumulators hold every sum? (Those of i8 wrap as the reference's do.)
  bool fits() const;
  /// i64 for wide sums, else i32.
  const void* bias(const LaneChannels& lanes, Store& store) const;
  /// Null where make_lane_rescale has none.
  const LaneRescale* rescale(const LaneChannels& lanes, Store& store) const;
  const CodeLimits& limits() const { return limits_; }

 private:
  void find_reals();

  Sums sums_;
  std::span<const std::int8_t> weight_;
  std::vector<std::int64_t> bias_;   ///< by channel, offset made up for
  std::vector<std::int64_t> bound_;  ///< by channel: no accumulator, of a part of the sum neither, is larger
  Rescale rescale_;
  CodeLimits limits_;
  std::vector<RealRescale> reals_;  ///< by channel, where all have one
};

}  // namespace lathe::runtime
