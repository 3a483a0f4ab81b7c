#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace lathe {

/// Element types. The numbers are stored in files: never renumber.
enum class Dtype : std::uint8_t { f32 = 0, f16 = 1, i8 = 2, u8 = 3, i16 = 4, i32 = 5, i64 = 6 };

/// Bytes of one element.
std::size_t size_of(Dtype dtype);

/// "f32", "i8", ...
std::string_view to_string(Dtype dtype);

/// The Dtype of a C++ element type. f16 has no C++ type of its own: its elements are std::uint16_t bit
/// patterns.
template <typename T>
struct DtypeOf;
template <>
struct DtypeOf<float> {
  static constexpr Dtype value = Dtype::f32;
};
template <>
struct DtypeOf<std::uint16_t> {
  static constexpr Dtype value = Dtype::f16;
};
template <>
struct DtypeOf<std::int8_t> {
  static constexpr Dtype value = Dtype::i8;
};
template <>
struct DtypeOf<std::uint8_t> {
  static constexpr Dtype value = Dtype::u8;
};
template <>
struct DtypeOf<std::int16_t> {
  static constexpr Dtype value = Dtype::i16;
};
template <>
struct DtypeOf<std::int32_t> {
  static constexpr Dtype value = Dtype::i32;
};
template <>
struct DtypeOf<std::int64_t> {
  static constexpr Dtype value = Dtype::i64;
};

}  // namespace lathe
