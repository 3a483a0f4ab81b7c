#include "support/errors.h"
#include "support/temporary_folder.h"

#include <lathe/base/io.h>

#include <array>

using namespace lathe;

TEST_CASE("a written file is read back, parent folders are made") {
  const TemporaryFolder folder;
  write_file(folder / "a/b.bin", std::string_view("hello"));
  const auto bytes = read_file(folder / "a/b.bin");
  CHECK(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()) == "hello");
}

TEST_CASE("a file that is not committed leaves the old one and no trace") {
  const TemporaryFolder folder;
  write_file(folder / "x", std::string_view("old"));
  {
    AtomicFile file(folder / "x");
    file.write("new");
  }
  CHECK(read_file(folder / "x").size() == 3);
  CHECK(std::distance(std::filesystem::directory_iterator(folder.path()), {}) == 1);
}

TEST_CASE("unreadable and unwritable paths are named") {
  const TemporaryFolder folder;
  CHECK_ERROR(read_file(folder / "missing"), "missing: No such file");
  CHECK_ERROR(read_file(folder.path()), "not a regular file");
  write_file(folder / "big", std::string_view("0123456789"));
  CHECK_ERROR(read_file(folder / "big", 4), "10 bytes, at most 4");
  CHECK_ERROR(write_file(folder / "big/child", std::string_view("x")), "its folder cannot be made");
}

TEST_CASE("numbers go through bytes unchanged") {
  ByteWriter writer;
  const std::array<std::uint64_t, 6> numbers{0, 1, 127, 128, 300, ~std::uint64_t{0}};
  for (std::uint64_t n : numbers) writer.varint(n);
  writer.write(1.5f);
  ByteReader reader(writer.view(), "test");
  for (std::uint64_t n : numbers) CHECK(reader.varint("n") == n);
  CHECK(reader.read<float>("f") == 1.5f);
  CHECK(reader.remaining() == 0);
}

TEST_CASE("reading past the end, overlong and too large numbers are refused") {
  ByteWriter writer;
  writer.varint(1000);
  CHECK_ERROR(ByteReader(writer.view(), "f").varint("count", 999), "f: at byte 2: count: 1000 is out of range, at most 999");
  CHECK_ERROR(ByteReader(writer.view(), "f").read<double>("x"), "f: at byte 0: x: 8 bytes are needed, 2 are left");
  const std::array<std::byte, 12> endless = [] {
    std::array<std::byte, 12> bytes;
    bytes.fill(std::byte{0xFF});
    return bytes;
  }();
  CHECK_ERROR(ByteReader(endless, "f").varint("n"), "too long");
}
