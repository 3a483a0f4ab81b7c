#pragma once

#include <lathe/graph/graph.h>

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace lathe::graph {

/// The deployable model: header (magic, version), graph, weights, checksum; layout in docs/file-format.md.
/// `encode` verifies the graph first; the same graph gives the same bytes.
std::vector<std::byte> encode(const Graph& graph);

/// Reads untrusted bytes: every size, index, enum and offset is checked before use and memory is bounded by
/// the number of bytes given. Throws Error naming `name` and the offset. The result passes verify().
Graph decode(std::span<const std::byte> bytes, const std::string& name);

/// Atomic. Throws Error naming the path.
void save(const Graph& graph, const std::filesystem::path& path);
Graph load(const std::filesystem::path& path);

}  // namespace lathe::graph
