#pragma once

#include "../allocator.h"

#include <cstddef>
#include <cstdint>

namespace lathe::kernels {

/// Uninitialised floats for the time of one call, from the tensors' caching allocator.
class Scratch {
 public:
  explicit Scratch(std::int64_t floats)
      : bytes_(static_cast<std::size_t>(floats) * sizeof(float)),
        data_(bytes_ > 0 ? static_cast<float*>(allocate_block(bytes_)) : nullptr) {}
  ~Scratch() {
    if (data_ != nullptr) free_block(data_, bytes_);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  float* data() const { return data_; }

 private:
  std::size_t bytes_;
  float* data_;
};

}  // namespace lathe::kernels
