#pragma once

#include <lathe/layers/module.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace lathe::layers {

/// Tensors by name and texts by name, as a safetensors file holds them.
struct Checkpoint {
  std::vector<NamedTensor> tensors;
  std::map<std::string, std::string> metadata;
};

/// Atomic. Throws Error naming the path. The same content gives the same bytes.
void save_safetensors(const Checkpoint& checkpoint, const std::filesystem::path& path);

/// Reads an untrusted file. Throws Error naming the file and what is wrong: header too long, not JSON,
/// unknown dtype, offsets outside the file or overlapping, sizes that do not match shapes. f32, f16, i8, u8,
/// i16, i32 and i64 are known.
Checkpoint load_safetensors(const std::filesystem::path& path);

/// Parameters and buffers of a module with their paths.
std::vector<NamedTensor> weights(const Module& module);

/// Copies tensors of these names into a module. Throws Error on a missing or extra name or a wrong shape, and
/// then changes nothing.
void load_weights(Module& module, const std::vector<NamedTensor>& tensors);

/// A file with weights(module) and the model's name ("model" in the metadata).
void save_weights(const Module& module, const std::string& model_name, const std::filesystem::path& path);

}  // namespace lathe::layers
