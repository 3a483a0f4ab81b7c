#pragma once

#include <lathe/graph/graph.h>
#include <lathe/graph/quantization.h>

#include <utility>
#include <vector>

namespace lathe::compress {

/// A constant of integers in place of a real one.
template <typename T>
graph::Value integer_constant(const graph::Value& real, graph::Quantization quantization,
                              std::span<const T> elements) {
  return {.name = real.name,
          .shape = real.shape,
          .dtype = DtypeOf<T>::value,
          .quantization = std::move(quantization),
          .data = graph::ConstantData::copy(std::as_bytes(elements))};
}

/// An f32 weight [O,...] as int8 codes, with a scale for each index of axis 0.
inline graph::Value quantize_weight(const graph::Value& weight, std::vector<float> scales) {
  const auto elements = weight.elements<float>();
  const std::size_t taps = elements.size() / scales.size();
  std::vector<std::int8_t> codes;
  for (std::size_t i = 0; i < elements.size(); ++i)
    codes.push_back(graph::weight_code(elements[i], scales[i / taps]));
  return integer_constant<std::int8_t>(weight, {std::move(scales), 0}, codes);
}

}  // namespace lathe::compress
