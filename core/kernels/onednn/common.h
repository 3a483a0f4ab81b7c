#pragma once

#include "../shapes.h"

#include <oneapi/dnnl/dnnl.hpp>

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>

/// oneDNN does the arithmetic of one thread, never the threading: each of our threads runs a primitive that
/// was made for its share of the batch. Two pools that wake each other cost more than the small layers
/// themselves.
namespace lathe::kernels::onednn {

const dnnl::engine& engine();

/// While it lives, OpenMP (under oneDNN) uses the calling thread alone, both for making and for running
/// primitives.
class SingleThreaded {
 public:
  SingleThreaded();
  ~SingleThreaded();
  SingleThreaded(const SingleThreaded&) = delete;
  SingleThreaded& operator=(const SingleThreaded&) = delete;

 private:
  int before_;
};

/// Making a primitive takes 200 to 600 us, so each is made once for a key and kept. May be used from any
/// thread.
template <typename Key, typename Entry>
class Cache {
 public:
  /// The entry of `key`, made by make(key) at the first request.
  template <typename Make>
  std::shared_ptr<const Entry> get(const Key& key, Make&& make) {
    const std::lock_guard lock(mutex_);
    if (const auto found = entries_.find(key); found != entries_.end()) return found->second;
    // Training meets a handful of shapes; whoever meets hundreds gets them made again rather than kept for
    // ever.
    if (entries_.size() >= kMost) entries_.clear();
    const SingleThreaded scope;
    return entries_.emplace(key, std::make_shared<const Entry>(make(key))).first->second;
  }

 private:
  static constexpr std::size_t kMost = 512;
  std::mutex mutex_;
  std::map<Key, std::shared_ptr<const Entry>> entries_;
};

/// oneDNN's name of an element type of ours.
template <typename T>
inline constexpr auto kType = dnnl::memory::data_type::f32;
template <>
inline constexpr auto kType<Bf16> = dnnl::memory::data_type::bf16;

/// Memory of ours seen by oneDNN.
inline dnnl::memory view(const dnnl::memory::desc& desc, const void* data) {
  return dnnl::memory(desc, engine(), const_cast<void*>(data));
}

/// No activation is fused: oneDNN's relu turns NaN into 0, and training that has gone wrong must show.
inline dnnl::primitive_attr attributes() {
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return attributes;
}

/// Room for a tensor or a scratchpad, in floats.
inline std::int64_t floats(const dnnl::memory::desc& desc) {
  return static_cast<std::int64_t>((desc.get_size() + sizeof(float) - 1) / sizeof(float) + 15) / 16 * 16;
}

}  // namespace lathe::kernels::onednn
