#include <lathe/base/io.h>
#include <lathe/layers/checkpoint.h>
#include <support/errors.h>
#include <support/temporary_folder.h>

#include <cmath>
#include <limits>

using namespace lathe;
using namespace lathe::layers;

namespace {

struct Small : Module {
  Parameter weight{Shape{2, 3}};
  Parameter bias{Shape{2}};
  Tensor mean = Tensor::zeros({2});

  Small() {
    register_parameter("weight", weight);
    register_parameter("bias", bias);
    register_buffer("mean", mean);
  }
  Tensor forward(const Tensor& x) override { return x; }
};

struct Pair : Module {
  Small first, second;
  Pair() { register_module("first", first), register_module("second", second); }
  Tensor forward(const Tensor& x) override { return x; }
};

void fill(Module& module, float start) {
  for (NamedTensor& named : weights(module))
    for (float& x : named.tensor.mutable_span<float>()) x = start++;
}

bool equal(const Tensor& a, const Tensor& b) {
  return a.dtype() == b.dtype() && a.shape() == b.shape() && std::ranges::equal(a.raw(), b.raw());
}

/// A file with this header and so many bytes of data.
std::filesystem::path made(const TemporaryFolder& folder, std::string_view header, std::size_t data_bytes) {
  ByteWriter out;
  out.write(std::uint64_t{header.size()});
  out.text(header);
  out.append(std::vector<std::byte>(data_bytes));
  write_file(folder / "made.safetensors", out.view());
  return folder / "made.safetensors";
}

}  // namespace

TEST_CASE("a safetensors file gives back every dtype, shape and text") {
  const TemporaryFolder folder;
  const float special[] = {1.5f, -0.0f, std::numeric_limits<float>::infinity(), std::nanf("7")};
  const std::int64_t wide[] = {-1, std::numeric_limits<std::int64_t>::max()};
  const std::int8_t narrow[] = {-128, 0, 127};
  Checkpoint checkpoint;
  checkpoint.tensors.push_back({"f32", Tensor::from<float>(special, {2, 2})});
  checkpoint.tensors.push_back({"i64", Tensor::from<std::int64_t>(wide, {2, 1})});
  checkpoint.tensors.push_back({"i8", Tensor::from<std::int8_t>(narrow, {3})});
  for (const Dtype dtype : {Dtype::f16, Dtype::u8, Dtype::i16, Dtype::i32})
    checkpoint.tensors.push_back({std::string(to_string(dtype)), Tensor::zeros({3, 1}, dtype)});
  checkpoint.tensors.push_back({"scalar", Tensor::full({}, 7)});
  checkpoint.tensors.push_back({"nothing", Tensor::zeros({0, 5})});
  checkpoint.metadata = {{"model", "conv"}, {"odd", "line\nquote\" \xC3\xA4"}, {"empty", ""}};

  save_safetensors(checkpoint, folder / "a.safetensors");
  const Checkpoint read = load_safetensors(folder / "a.safetensors");

  CHECK(read.metadata == checkpoint.metadata);
  REQUIRE(read.tensors.size() == checkpoint.tensors.size());
  for (const NamedTensor& named : checkpoint.tensors) {
    const auto found = std::ranges::find(read.tensors, named.name, &NamedTensor::name);
    REQUIRE(found != read.tensors.end());
    INFO(named.name);
    CHECK(equal(found->tensor, named.tensor));
  }
}

TEST_CASE("the same content gives the same bytes, in whatever order it is given") {
  const TemporaryFolder folder;
  const NamedTensor a{"a", Tensor::full({3}, 1)}, b{"b", Tensor::full({5}, 2)};
  const NamedTensor c{"c", Tensor::zeros({7}, Dtype::i8)}, d{"d", Tensor::zeros({1}, Dtype::i64)};
  save_safetensors({{a, b, c, d}, {{"x", "1"}, {"y", "2"}}}, folder / "1");
  save_safetensors({{c, d, b, a}, {{"y", "2"}, {"x", "1"}}}, folder / "2");
  CHECK(read_file(folder / "1") == read_file(folder / "2"));
}

TEST_CASE("a file is laid out as the safetensors format says") {
  const TemporaryFolder folder;
  save_safetensors({{{"b", Tensor::from({1, 2}, {2})}, {"a", Tensor::zeros({1}, Dtype::u8)}}, {{"k", "v"}}},
                   folder / "f");
  const std::vector<std::byte> bytes = read_file(folder / "f");
  ByteReader reader(bytes, "f");
  const auto length = reader.read<std::uint64_t>("length");
  CHECK(length % 8 == 0);
  std::string header = reader.text(length, "header");
  header.erase(header.find_last_not_of(' ') + 1);
  CHECK(header == R"({"__metadata__":{"k":"v"},"a":{"data_offsets":[8,9],"dtype":"U8","shape":[1]},)"
                  R"("b":{"data_offsets":[0,8],"dtype":"F32","shape":[2]}})");
  CHECK(reader.read<float>("b0") == 1);
  CHECK(reader.read<float>("b1") == 2);
  CHECK(reader.remaining() == 1);
}

TEST_CASE("the writer refuses what the format cannot hold and leaves an older file alone") {
  const TemporaryFolder folder;
  const auto path = folder / "f";
  write_file(path, "older");
  const Tensor t = Tensor::zeros({1});
  CHECK_ERROR(save_safetensors({{{"a", t}, {"a", t}}, {}}, path), "two tensors are named 'a'");
  CHECK_ERROR(save_safetensors({{{"__metadata__", t}}, {}}, path), "'__metadata__' cannot name a tensor");
  CHECK_ERROR(save_safetensors({{{"a", Tensor()}}, {}}, path), "tensor 'a' is empty");
  CHECK_ERROR(save_safetensors({{{"a", t}}, {{"k", "\xFF"}}}, path), "not UTF-8");
  CHECK_ERROR(save_safetensors({{{"\xC3", t}}, {}}, path), "not UTF-8");
  CHECK_ERROR(save_safetensors({{{"a", t}}, {{"k", std::string(17 << 20, 'x')}}}, path), "header takes");
  CHECK(read_file(path).size() == 5);
}

TEST_CASE("a broken header is refused with the file's name and what is wrong") {
  const TemporaryFolder folder;
  const auto load = [&](std::string_view header, std::size_t data_bytes = 8) {
    return load_safetensors(made(folder, header, data_bytes));
  };
  CHECK(load(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})").tensors.size() == 1);
  CHECK(load(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"later":1}}   )").tensors.size() == 1);

  CHECK_ERROR(load("{"), "made.safetensors: the header is not JSON");
  CHECK_ERROR(load(""), "the header is not JSON");
  CHECK_ERROR(load("[]", 0), "the header is array, expected an object");
  CHECK_ERROR(load("\xFF"), "the header is not JSON");
  CHECK_ERROR(load("{\"a\":1}x"), "the header is not JSON");
  CHECK_ERROR(load(R"({"a":1})"), "tensor 'a' is described by number, expected an object");
  CHECK_ERROR(load(R"({"a":{"shape":[2],"data_offsets":[0,8]}})"), "tensor 'a' has no dtype");
  CHECK_ERROR(load(R"({"a":{"dtype":"F32","data_offsets":[0,8]}})"), "tensor 'a' has no shape");
  CHECK_ERROR(load(R"({"a":{"dtype":"F32","shape":[2]}})"), "tensor 'a' has no data_offsets");
  CHECK_ERROR(load(R"({"a":{"dtype":"F99","shape":[2],"data_offsets":[0,8]}})"),
              "has the dtype \"F99\", known are F32");
  CHECK_ERROR(load(R"({"a":{"dtype":7,"shape":[2],"data_offsets":[0,8]}})"), "the dtype is not a text");
  CHECK_ERROR(load(R"({"a":{"dtype":"F32","shape":2,"data_offsets":[0,8]}})"), "the shape is not a list");
  CHECK_ERROR(load(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})"),
              "holds -2, expected a natural");
  CHECK_ERROR(load(R"({"a":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}})"),
              "holds 2.5, expected a natural");
  CHECK_ERROR(load(R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,2],"data_offsets":[0,8]}})"),
              "has 7 dimensions");
  CHECK_ERROR(load(R"({"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,8]}})"),
              "is too large");
  CHECK_ERROR(load(R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,8]}})"),
              "overflows");
  CHECK_ERROR(load(R"({"a":{"dtype":"F32","shape":[4611686018427387906],"data_offsets":[0,8]}})"),
              "has 8 bytes");
  CHECK_ERROR(load(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})"),
              "has 8 bytes, 3 elements of shape [3]");
  CHECK_ERROR(load(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,7]}})"), "has 7 bytes");
  CHECK_ERROR(load(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})"),
              "lies at [8,0), outside the 8 bytes");
  CHECK_ERROR(load(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})"),
              "lies at [8,16), outside the 8 bytes");
  CHECK_ERROR(load(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}})"), "data_offsets is not a pair");
  CHECK_ERROR(load(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,"8"]}})"),
              "expected a natural number");
  CHECK_ERROR(load(R"({"__metadata__":1})", 0), "__metadata__ is not an object");
  CHECK_ERROR(load(R"({"__metadata__":{"k":1}})", 0), "__metadata__ 'k' is not a text");
  CHECK_ERROR(load(R"({"__metadata__":{"k":"1","k":"2"}})", 0), "the header has 'k' twice");
  CHECK_ERROR(load(std::string(100'000, '[')), "nested too deeply");
  CHECK_ERROR(load(R"({"a":{"dtype":"F32","shape":[[2]],"data_offsets":[0,8]}})"), "nested too deeply");
}

TEST_CASE("tensors that overlap, leave gaps or come twice are refused") {
  const TemporaryFolder folder;
  const auto load = [&](std::string_view header) { return load_safetensors(made(folder, header, 16)); };
  CHECK_ERROR(load(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                   R"("b":{"dtype":"F32","shape":[3],"data_offsets":[4,16]}})"),
              "tensor 'b' starts at byte 4 of the data, inside the one before it, which ends at 8");
  CHECK_ERROR(load(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                   R"("b":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}})"),
              "bytes [4,8) before tensor 'b' belong to no tensor");
  CHECK_ERROR(load(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}})"), "bytes [12,16) at the end");
  CHECK_ERROR(load(R"({"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]},)"
                   R"("a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}})"),
              "the header has 'a' twice");
}

TEST_CASE("a file cut at any byte, or with a made-up header length, is refused") {
  const TemporaryFolder folder;
  save_safetensors({{{"a", Tensor::from({1, 2}, {2})}, {"b", Tensor::zeros({3}, Dtype::i8)}}, {{"k", "v"}}},
                   folder / "whole");
  const std::vector<std::byte> bytes = read_file(folder / "whole");
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    write_file(folder / "cut", std::span(bytes).first(size));
    CHECK_ERROR(load_safetensors(folder / "cut"), "cut");
  }
  for (const std::uint64_t length :
       {std::uint64_t{0}, std::uint64_t{1} << 24, ~std::uint64_t{0}, bytes.size() - 7}) {
    std::vector<std::byte> changed = bytes;
    std::memcpy(changed.data(), &length, sizeof length);
    write_file(folder / "changed", changed);
    CHECK_ERROR(load_safetensors(folder / "changed"), "changed");
  }
  CHECK_ERROR(load_safetensors(folder / "absent"), "absent");
}

TEST_CASE("the weights of a module are its parameters and buffers by path") {
  const Pair pair;
  std::vector<std::string> names;
  for (const NamedTensor& named : weights(pair)) names.push_back(named.name);
  CHECK(names == std::vector<std::string>{"first.weight", "first.bias", "second.weight", "second.bias",
                                          "first.mean", "second.mean"});
}

TEST_CASE("saved weights come back into another module of the same kind") {
  const TemporaryFolder folder;
  Pair from, to;
  fill(from, 1);
  save_weights(from, "pair", folder / "w");
  const Checkpoint checkpoint = load_safetensors(folder / "w");
  CHECK(checkpoint.metadata == std::map<std::string, std::string>{{"model", "pair"}});
  const Tensor same_handle = to.first.weight.master();
  load_weights(to, checkpoint.tensors);
  const auto a = weights(from), b = weights(to);
  for (std::size_t i = 0; i < a.size(); ++i) CHECK(equal(a[i].tensor, b[i].tensor));
  CHECK(equal(same_handle, from.first.weight.master()));
}

TEST_CASE("weights that do not fit change nothing") {
  Small module;
  fill(module, 1);
  const auto before = module.weight.master().clone();
  Small other;
  fill(other, 100);
  const auto good = weights(other);
  const auto with = [&](std::size_t index, NamedTensor replacement) {
    auto result = good;
    result[index] = std::move(replacement);
    return result;
  };
  CHECK_ERROR(load_weights(module, {good[0], good[1]}), "'mean' f32[2] is missing");
  CHECK_ERROR(load_weights(module, {}), "'weight' f32[2,3] is missing");
  CHECK_ERROR(load_weights(module, {good[0], good[1], good[2], {"more", Tensor::zeros({1})}}),
              "the module has no 'more' f32[1]");
  CHECK_ERROR(load_weights(module, {good[0], good[1], good[2], good[0]}), "'weight' is given twice");
  CHECK_ERROR(load_weights(module, with(2, {"mean", Tensor::zeros({3})})),
              "'mean' is f32[3], the module has f32[2]");
  CHECK_ERROR(load_weights(module, with(2, {"mean", Tensor::zeros({2}, Dtype::i32)})), "'mean' is i32[2]");
  CHECK_ERROR(load_weights(module, with(2, {"mean", Tensor()})), "'mean' is empty");
  CHECK(equal(module.weight.master(), before));
  load_weights(module, good);
  CHECK(equal(module.weight.master(), other.weight.master()));
}
