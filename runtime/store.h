#pragma once

#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <type_traits>
#include <vector>

namespace lathe::runtime {

/// The memory of a plan: zeroed, aligned to 64, with 64 readable bytes after the end (kernels may load whole
/// vectors there).
class Memory {
 public:
  static constexpr std::size_t kAlignment = 64, kSlack = 64;

  Memory() = default;
  explicit Memory(std::size_t bytes)
      : data_(static_cast<std::byte*>(::operator new[](bytes + kSlack, std::align_val_t{kAlignment}))) {
    std::memset(data_.get(), 0, bytes + kSlack);
  }
  std::byte* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(std::byte* data) const { ::operator delete[](data, std::align_val_t{kAlignment}); }
  };
  std::unique_ptr<std::byte[], Free> data_;
};

/// Keeps what prepare functions make: parameter structs, packed weights, tables. Addresses stay valid.
class Store {
 public:
  /// `count` zeroed elements, aligned to 64.
  template <typename T>
  requires std::is_trivially_copyable_v<T> std::span<T> array(std::size_t count) {
    blocks_.emplace_back(count * sizeof(T));
    bytes_ += static_cast<std::int64_t>(count * sizeof(T));
    return {reinterpret_cast<T*>(blocks_.back().data()), count};
  }

  template <typename T>
  const T* copy(std::span<const T> elements) {
    const std::span<T> result = array<T>(elements.size());
    for (std::size_t i = 0; i < elements.size(); ++i) result[i] = elements[i];
    return result.data();
  }

  template <typename T>
  const T* keep(const T& params) {
    return copy(std::span<const T>(&params, 1));
  }

  std::int64_t bytes() const { return bytes_; }

 private:
  std::vector<Memory> blocks_;
  std::int64_t bytes_ = 0;
};

}  // namespace lathe::runtime
