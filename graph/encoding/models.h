#pragma once

#include "predictor.h"
#include "range_coder.h"

#include <cstddef>
#include <memory>

namespace lathe::graph::encoding {

/// What is known of an array beside its bytes, from the shape of the constant and how it is used. Predictions
/// for the coded stream are made from it, so writer and reader must have the same.
struct Traits {
  bool real = false;       ///< f32 or f16 rather than integers
  std::uint32_t row = 0;   ///< elements of an output channel; 0: all are one row
  std::uint32_t step = 0;  ///< from an element to that of the next place in the image; 0: unknown
  std::uint32_t line = 0;  ///< from an element to that of the next line of the image; 0: unknown
  bool stored = false;     ///< the shape does not tell step and line: they are stored
  /// Of indices into a palette: what each stands for, as a number of -127..127. Empty: elements stand for
  /// themselves.
  std::vector<std::int8_t> values;

  bool operator==(const Traits&) const = default;
};

/// At most so many elements and bytes of graph go through the coded stream of a file: it takes some 0.6
/// microseconds for each.
inline constexpr std::size_t kMaxCoded = 65536;

/// The statistics that the coded stream of a file is predicted from; they begin empty. A function both
/// encodes and decodes: with a RangeEncoder it reads the bytes, with a RangeDecoder it fills them.
class Models {
 public:
  Models();
  template <typename Coder>
  void text(Coder& coder, std::span<std::byte> bytes);
  template <typename Coder>
  void array(Coder& coder, std::span<std::byte> bytes, std::size_t size, const Traits& traits);

 private:
  template <typename Coder>
  void elements(Coder& coder, std::span<std::byte> bytes, const Traits& traits);
  template <typename T, typename Coder>
  void integers(Coder& coder, std::span<std::byte> bytes);

  Predictor<5> text_;
  Predictor<8> elements_;
  Predictor<3> classes_;
  Predictor<2> fractions_;
  std::uint32_t arrays_ = 0;
};

/// An array for the coded stream.
struct CodedArray {
  std::vector<std::byte> bytes;
  std::size_t size = 1;
  Traits traits;
  std::size_t count() const { return bytes.size() / size; }
};

/// The coded stream of a file as it is read.
class StreamDecoder {
 public:
  explicit StreamDecoder(std::span<const std::byte> bytes)
      : decoder_(bytes), models_(std::make_unique<Models>()) {}

  /// False when there would be more than kMaxCoded, and nothing is read.
  bool text(std::span<std::byte> out);
  bool array(std::span<std::byte> out, std::size_t size, const Traits& traits);

  /// Bytes used so far, with a fraction.
  double position() const { return decoder_.size(); }
  bool overrun() const { return decoder_.overrun(); }
  bool complete() const { return decoder_.complete(); }

 private:
  bool take(std::size_t count);
  RangeDecoder decoder_;
  std::unique_ptr<Models> models_;
  std::size_t left_ = kMaxCoded;
};

/// The coded stream of a file: its graph section, then the arrays.
std::vector<std::byte> encode_stream(std::span<const std::byte> text, std::span<const CodedArray> arrays);

}  // namespace lathe::graph::encoding
