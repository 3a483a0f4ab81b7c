#include <lathe/base/io.h>
#include <lathe/datasets/idx.h>

#include "byte_images.h"

#define ZLIB_CONST
#include <zlib.h>

#include <algorithm>

namespace lathe::datasets {
namespace {

/// The bytes of a file, unpacked on the way if it is gzipped.
class Source {
 public:
  Source(std::span<const std::byte> file, const std::string& name) : file_(file), name_(name) {
    gzipped_ = file.size() >= 2 && file[0] == std::byte{0x1F} && file[1] == std::byte{0x8B};
    if (!gzipped_) return;
    constexpr int kGzipOnly = 15 + 16;
    check(::inflateInit2(&stream_, kGzipOnly) == Z_OK, "{}: no memory for unpacking", name_);
  }
  ~Source() {
    if (gzipped_) ::inflateEnd(&stream_);
  }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  /// More bytes than this cannot come out of what is left.
  std::uint64_t bound() const {
    constexpr std::uint64_t kMaxDeflateRatio = 1032;  // 258 bytes from two bits
    return gzipped_ ? file_.size() * kMaxDeflateRatio : file_.size() - offset_;
  }
  bool gzipped() const { return gzipped_; }

  /// As many bytes as there are, at most out.size().
  std::size_t read(std::span<std::uint8_t> out) { return gzipped_ ? unpack(out) : copy(out); }

  /// Bytes of the file that belong to nothing.
  std::uint64_t left() const { return file_.size() - offset_; }

 private:
  std::size_t copy(std::span<std::uint8_t> out) {
    const std::size_t count = std::min<std::size_t>(out.size(), file_.size() - offset_);
    std::memcpy(out.data(), file_.data() + offset_, count);
    offset_ += count;
    return count;
  }

  std::size_t unpack(std::span<std::uint8_t> out) {
    constexpr std::size_t kMaxChunk = std::size_t{1} << 30;  // zlib counts in 32 bits
    std::size_t done = 0;
    while (done < out.size() && !ended_) {
      const std::size_t in = std::min(file_.size() - offset_, kMaxChunk);
      const std::size_t room = std::min(out.size() - done, kMaxChunk);
      stream_.next_in = reinterpret_cast<const Bytef*>(file_.data() + offset_);
      stream_.avail_in = static_cast<uInt>(in);
      stream_.next_out = out.data() + done;
      stream_.avail_out = static_cast<uInt>(room);
      const int result = ::inflate(&stream_, Z_NO_FLUSH);
      offset_ += in - stream_.avail_in;
      done += room - stream_.avail_out;
      if (result == Z_STREAM_END) {
        next_member();
      } else {
        check(result != Z_BUF_ERROR, "{}: truncated: the gzip data stops in the middle, after {} bytes",
              name_, offset_);
        check(result == Z_OK, "{}: damaged gzip data at byte {}: {}", name_, offset_,
              stream_.msg != nullptr ? stream_.msg : "cannot be unpacked");
      }
    }
    return done;
  }

  /// A gzip file is one or more members; their contents follow each other.
  void next_member() {
    ended_ = left() < 2 || file_[offset_] != std::byte{0x1F} || file_[offset_ + 1] != std::byte{0x8B};
    if (!ended_) ::inflateReset(&stream_);
  }

  std::span<const std::byte> file_;
  const std::string& name_;
  std::size_t offset_ = 0;
  bool gzipped_ = false;
  bool ended_ = false;
  z_stream stream_{};
};

const char* type_name(std::uint8_t type) {
  switch (type) {
    case 0x08:
      return "unsigned bytes";
    case 0x09:
      return "signed bytes";
    case 0x0B:
      return "16-bit integers";
    case 0x0C:
      return "32-bit integers";
    case 0x0D:
      return "32-bit floats";
    case 0x0E:
      return "64-bit floats";
    default:
      return nullptr;
  }
}

}  // namespace

IdxArray parse_idx(std::span<const std::byte> file, const std::string& name, int rank) {
  check(!file.empty(), "{}: the file is empty, expected an IDX file", name);
  Source source(file, name);

  std::vector<std::uint8_t> header(4 + 4 * static_cast<std::size_t>(rank));
  const std::span<std::uint8_t> magic = std::span(header).first(4);
  check(source.read(magic) == 4, "{}: too short for an IDX file", name);
  check(magic[0] == 0 && magic[1] == 0 && type_name(magic[2]) != nullptr,
        "{}: not an IDX file: it begins with {:02x} {:02x} {:02x} {:02x}, expected 00 00 08 {:02x}", name,
        magic[0], magic[1], magic[2], magic[3], rank);
  check(magic[2] == 0x08, "{}: holds {}, expected unsigned bytes", name, type_name(magic[2]));
  check(magic[3] == rank, "{}: holds {}-dimensional data, expected {} ({})", name, magic[3], rank,
        rank == 1 ? "labels" : "images");
  check(source.read(std::span(header).subspan(4)) == header.size() - 4, "{}: truncated in its header", name);

  IdxArray array;
  std::uint64_t total = 1;
  for (int i = 0; i < rank; ++i) {
    const std::uint8_t* bytes = header.data() + 4 + 4 * i;
    const std::uint32_t extent = std::uint32_t{bytes[0]} << 24 | std::uint32_t{bytes[1]} << 16 |
                                 std::uint32_t{bytes[2]} << 8 | std::uint32_t{bytes[3]};
    check(extent > 0, "{}: dimension {} is 0", name, i);
    check(!__builtin_mul_overflow(total, std::uint64_t{extent}, &total), "{}: its dimensions are too large",
          name);
    array.dims.push_back(extent);
  }
  check(total <= source.bound(),
        "{}: truncated: its header announces {} bytes of data, its {} bytes cannot hold them", name, total,
        file.size());

  array.values.resize(total);
  const std::size_t got = source.read(array.values);
  check(got == total, "{}: truncated: its header announces {} bytes of data, it holds {}", name, total, got);
  std::uint8_t extra = 0;
  check(source.read({&extra, 1}) == 0, "{}: holds more than the {} bytes of data that its header announces",
        name, total);
  check(source.left() == 0, "{}: {} bytes of something else follow the gzip data", name, source.left());
  return array;
}

namespace {

class IdxImages : public ByteImages {
 public:
  IdxImages(IdxArray images, std::vector<std::uint8_t> labels, int classes)
      : ByteImages({images.dims[1], images.dims[2], 1}, std::move(labels), classes),
        pixels_(std::move(images.values)) {}

 private:
  std::span<const std::uint8_t> pixels() const override { return pixels_; }

  std::vector<std::uint8_t> pixels_;
};

IdxArray load(const std::filesystem::path& path, int rank) {
  return parse_idx(read_file(path), path.string(), rank);
}

}  // namespace

DatasetPtr open_idx(const std::filesystem::path& images, const std::filesystem::path& labels, int classes) {
  check(classes >= 1 && classes <= 256, "open_idx: {} classes, expected 1..256", classes);
  IdxArray label_array = load(labels, 1);
  IdxArray image_array = load(images, 3);
  check(image_array.dims[0] == label_array.dims[0], "{} holds {} images, but {} holds {} labels",
        images.string(), image_array.dims[0], labels.string(), label_array.dims[0]);
  const std::vector<std::uint8_t>& values = label_array.values;
  const auto bad =
      std::find_if(values.begin(), values.end(), [&](std::uint8_t label) { return label >= classes; });
  check(bad == values.end(), "{}: label {} of sample {} is out of range, expected 0..{}", labels.string(),
        bad == values.end() ? 0 : *bad, bad - values.begin(), classes - 1);
  return std::make_shared<IdxImages>(std::move(image_array), std::move(label_array.values), classes);
}

}  // namespace lathe::datasets
