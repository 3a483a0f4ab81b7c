#pragma once

#include <lathe/graph/graph.h>

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <vector>

namespace lathe::graph {

/// How constants are stored.
struct EncodeOptions {
  enum class Form {
    smallest,  ///< each in the encoding that makes the file smallest
    plain      ///< all as they are in memory
  };
  Form form = Form::smallest;
};

/// The deployable model: header (magic, version, checksum), graph, weights; layout in docs/file-format.md.
/// `encode` verifies the graph first; the same graph gives the same bytes. All forms decode to the same
/// graph, bit for bit.
std::vector<std::byte> encode(const Graph& graph, const EncodeOptions& options = {});

/// Reads untrusted bytes: every size, index, enum and offset is checked before use. Constants are decoded
/// into plain ones; they may take 2048 times the bytes given and 1 MiB, but at most 1 GiB, more than these.
/// Throws Error naming `name` and the offset. The result passes verify().
Graph decode(std::span<const std::byte> bytes, const std::string& name);

/// Atomic. Throws Error naming the path.
void save(const Graph& graph, const std::filesystem::path& path, const EncodeOptions& options = {});
Graph load(const std::filesystem::path& path);

/// Some bytes of a model file and what they are for.
struct SizeEntry {
  enum class Part {
    header,  ///< magic, version and sizes of the sections
    checksum,
    graph,     ///< inputs, nodes and what is known of the constants
    scales,    ///< of the channels of a constant
    constant,  ///< its elements
    padding
  };
  Part part = Part::header;
  std::string name;  ///< of the constant
  Dtype dtype = Dtype::f32;
  Shape shape;           ///< of the constant or the scales
  std::string encoding;  ///< "raw", "coded", "sparse(packed(deflate) raw)"
  std::uint64_t bytes = 0;
};

/// Where the bytes of a file go, in the order of the file; the sum is its size. Reads as decode() does.
/// Arrays in the coded stream share bytes: each gets those that end in it.
std::vector<SizeEntry> size_breakdown(std::span<const std::byte> bytes, const std::string& name);

}  // namespace lathe::graph
