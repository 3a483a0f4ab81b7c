// Files with the names and shapes of torchvision and timm, made up here.
#include <doctest/doctest.h>

#include <lathe/core/autograd.h>
#include <lathe/layers/image_models.h>
#include <lathe/layers/pretrained.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "support/errors.h"
#include "support/temporary_folder.h"

using namespace lathe;
using layers::NamedTensor;

namespace {

/// A state dictionary, filled at random.
class File {
 public:
  void conv(const std::string& name, std::int64_t out, std::int64_t in, std::int64_t kernel) {
    put(name + ".weight", {out, in, kernel, kernel}, -0.5f, 0.5f);
  }
  void norm(const std::string& name, std::int64_t channels) {
    put(name + ".weight", {channels}, 0.5f, 1.5f);
    put(name + ".bias", {channels}, -0.5f, 0.5f);
    put(name + ".running_mean", {channels}, -0.5f, 0.5f);
    put(name + ".running_var", {channels}, 0.5f, 2);
    tensors.push_back({name + ".num_batches_tracked", Tensor::zeros({}, Dtype::i64)});
  }
  void biased(const std::string& name, const Shape& shape) {
    put(name + ".weight", shape, -0.2f, 0.2f);
    put(name + ".bias", {shape[0]}, -0.2f, 0.2f);
  }
  void put(const std::string& name, const Shape& shape, float low, float high) {
    Tensor tensor = Tensor::empty(shape);
    Rng(5).split(name).fill_uniform(tensor.mutable_span<float>(), low, high);
    tensors.push_back({name, tensor});
  }
  NamedTensor& find(const std::string& name) {
    const auto found = std::ranges::find(tensors, name, &NamedTensor::name);
    REQUIRE(found != tensors.end());
    return *found;
  }
  float at(const std::string& name, std::size_t index) { return find(name).tensor.span<float>()[index]; }

  std::vector<NamedTensor> tensors;
};

struct Row {
  int widening, kernel, out, repeats;
};
constexpr Row kMobileNet[] = {{1, 3, 16, 1}, {6, 3, 24, 2},  {6, 3, 32, 3}, {6, 3, 64, 4},
                              {6, 3, 96, 3}, {6, 3, 160, 3}, {6, 3, 320, 1}};
constexpr Row kEfficientNet[] = {{1, 3, 16, 1},  {6, 3, 24, 2},  {6, 5, 40, 2}, {6, 3, 80, 3},
                                 {6, 5, 112, 3}, {6, 5, 192, 4}, {6, 3, 320, 1}};

File torchvision_mobilenet() {
  File file;
  file.conv("features.0.0", 32, 3, 3);
  file.norm("features.0.1", 32);
  int in = 32, block = 1;
  for (const Row& row : kMobileNet)
    for (int i = 0; i < row.repeats; ++i, in = row.out, ++block) {
      const std::string path = fmt::format("features.{}.conv.", block);
      const int wide = in * row.widening;
      int part = 0;
      if (row.widening > 1) {
        file.conv(path + "0.0", wide, in, 1);
        file.norm(path + "0.1", wide);
        part = 1;
      }
      file.conv(fmt::format("{}{}.0", path, part), wide, 1, 3);
      file.norm(fmt::format("{}{}.1", path, part), wide);
      file.conv(fmt::format("{}{}", path, part + 1), row.out, wide, 1);
      file.norm(fmt::format("{}{}", path, part + 2), row.out);
    }
  file.conv("features.18.0", 1280, 320, 1);
  file.norm("features.18.1", 1280);
  file.biased("classifier.1", {1000, 1280});
  return file;
}

File torchvision_efficientnet() {
  File file;
  file.conv("features.0.0", 32, 3, 3);
  file.norm("features.0.1", 32);
  int in = 32, stage = 1;
  for (const Row& row : kEfficientNet) {
    for (int i = 0; i < row.repeats; ++i, in = row.out) {
      const std::string path = fmt::format("features.{}.{}.block.", stage, i);
      const int wide = in * row.widening;
      int part = 0;
      const auto wrapped = [&](int out, int inputs, int kernel) {
        file.conv(fmt::format("{}{}.0", path, part), out, inputs, kernel);
        file.norm(fmt::format("{}{}.1", path, part), out);
        ++part;
      };
      if (row.widening > 1) wrapped(wide, in, 1);
      wrapped(wide, 1, row.kernel);
      file.biased(fmt::format("{}{}.fc1", path, part), {in / 4, wide, 1, 1});
      file.biased(fmt::format("{}{}.fc2", path, part), {wide, in / 4, 1, 1});
      ++part;
      wrapped(row.out, wide, 1);
    }
    ++stage;
  }
  file.conv("features.8.0", 1280, 320, 1);
  file.norm("features.8.1", 1280);
  file.biased("classifier.1", {1000, 1280});
  return file;
}

/// Both networks have the same names in timm, but for squeeze-and-excite.
File timm(std::span<const Row> rows, bool squeezes) {
  File file;
  file.conv("conv_stem", 32, 3, 3);
  file.norm("bn1", 32);
  int in = 32, stage = 0;
  for (const Row& row : rows) {
    for (int i = 0; i < row.repeats; ++i, in = row.out) {
      const std::string path = fmt::format("blocks.{}.{}.", stage, i);
      const int wide = in * row.widening;
      const bool widens = row.widening > 1;
      if (widens) {
        file.conv(path + "conv_pw", wide, in, 1);
        file.norm(path + "bn1", wide);
      }
      file.conv(path + "conv_dw", wide, 1, row.kernel);
      file.norm(path + (widens ? "bn2" : "bn1"), wide);
      if (squeezes) {
        file.biased(path + "se.conv_reduce", {in / 4, wide, 1, 1});
        file.biased(path + "se.conv_expand", {wide, in / 4, 1, 1});
      }
      file.conv(path + (widens ? "conv_pwl" : "conv_pw"), row.out, wide, 1);
      file.norm(path + (widens ? "bn3" : "bn2"), row.out);
    }
    ++stage;
  }
  file.conv("conv_head", 1280, 320, 1);
  file.norm("bn2", 1280);
  file.biased("classifier", {1000, 1280});
  return file;
}

layers::Pretrained load(layers::Module& module, const char* model, const File& file) {
  const TemporaryFolder folder;
  layers::save_safetensors({file.tensors, {}}, folder / "weights.safetensors");
  return layers::load_pretrained(module, model, folder / "weights.safetensors");
}

std::map<std::string, Tensor> by_name(const layers::Module& module) {
  std::map<std::string, Tensor> result;
  for (const NamedTensor& named : layers::weights(module)) result.emplace(named.name, named.tensor);
  return result;
}

Tensor run(layers::Module& module) {
  const NoGrad no_grad;
  module.eval();
  Tensor x = Tensor::empty({1, 32, 32, 3});
  Rng(1).fill_uniform(x.mutable_span<float>(), 0, 1);
  return module(x);
}

}  // namespace

TEST_CASE("torchvision's mobilenet_v2: layouts are turned and batch norm is folded") {
  File file = torchvision_mobilenet();
  CHECK(file.tensors.size() == 314);
  const auto model = layers::mobilenet_v2(1000);
  model->reset(Rng(1));
  const layers::Pretrained done = load(*model, "mobilenet_v2", file);
  CHECK(done.loaded == 106);
  CHECK(done.unchanged ==
        std::vector<std::string>{"normalize.mean", "normalize.variance", "normalize.count"});
  const auto own = by_name(*model);
  const auto factor = [&](const std::string& norm, std::size_t c) {
    return file.at(norm + ".weight", c) / std::sqrt(file.at(norm + ".running_var", c) + 1e-5f);
  };
  // [O,KH,KW,I] from [O,I,KH,KW]: output 5, row 2, column 1, input 1.
  CHECK(own.at("features.0.0.weight").span<float>()[((5 * 3 + 2) * 3 + 1) * 3 + 1] ==
        doctest::Approx(file.at("features.0.0.weight", ((5 * 3 + 1) * 3 + 2) * 3 + 1) *
                        factor("features.0.1", 5)));
  CHECK(own.at("features.0.0.bias").span<float>()[5] ==
        doctest::Approx(file.at("features.0.1.bias", 5) -
                        file.at("features.0.1.running_mean", 5) * factor("features.0.1", 5)));
  CHECK(own.at("features.3.conv.1.0.weight").span<float>()[7 * 9 + 5] ==
        doctest::Approx(file.at("features.3.conv.1.0.weight", 7 * 9 + 5) * factor("features.3.conv.1.1", 7)));
  CHECK(own.at("features.3.conv.2.weight").span<float>()[3 * 144 + 9] ==
        doctest::Approx(file.at("features.3.conv.2.weight", 3 * 144 + 9) * factor("features.3.conv.3", 3)));
  CHECK(own.at("features.1.conv.1.weight").span<float>()[3 * 32 + 9] ==
        doctest::Approx(file.at("features.1.conv.1.weight", 3 * 32 + 9) * factor("features.1.conv.2", 3)));
  CHECK(own.at("classifier.1.weight").span<float>()[1281] == file.at("classifier.1.weight", 1281));
}

TEST_CASE("torchvision's efficientnet_b0: batch norm computes the same with the model's epsilon") {
  File file = torchvision_efficientnet();
  CHECK(file.tensors.size() == 360);
  const auto model = layers::efficientnet_b0(2);
  model->reset(Rng(1));
  const std::size_t all = by_name(*model).size();
  const layers::Pretrained done = load(*model, "efficientnet_b0", file);
  CHECK(done.loaded == 49 * 5 + 32 * 2);  // 49 convolutions with batch norm, 32 linear layers with bias
  CHECK(done.unchanged.size() == all - done.loaded);
  for (const std::string& name : done.unchanged)
    CHECK((name.starts_with("normalize.") || name.starts_with("classifier.")));
  const auto own = by_name(*model);
  for (std::size_t c : {0, 11, 31}) {
    const float variance = file.at("features.0.1.running_var", c);
    CHECK(own.at("features.stem_bn.moving_variance").span<float>()[c] == variance);
    CHECK(own.at("features.stem_bn.gamma").span<float>()[c] / std::sqrt(variance + 1e-3f) ==
          doctest::Approx(file.at("features.0.1.weight", c) / std::sqrt(variance + 1e-5f)));
    CHECK(own.at("features.stem_bn.moving_mean").span<float>()[c] == file.at("features.0.1.running_mean", c));
  }
  // A residual's layers lie below its body; 5x5 kernels, turned.
  CHECK(own.at("features.block5.body.depthwise_conv.weight").span<float>()[7 * 25 + 13] ==
        file.at("features.3.1.block.1.0.weight", 7 * 25 + 13));
  CHECK(own.at("features.block5.body.se.reduce.weight").span<float>()[240 + 3] ==
        file.at("features.3.1.block.2.fc1.weight", 240 + 3));
  CHECK(own.at("features.block5.body.se.expand.bias").span<float>()[100] ==
        file.at("features.3.1.block.2.fc2.bias", 100));
  CHECK(own.at("features.block1.project_conv.weight").span<float>()[33] ==
        file.at("features.1.0.block.2.0.weight", 33));
  CHECK(own.at("features.top_conv.weight").span<float>()[321] == file.at("features.8.0.weight", 321));
}

TEST_CASE("timm's names give the same networks") {
  const auto same = [](const char* name, std::unique_ptr<layers::Module> a, std::unique_ptr<layers::Module> b,
                       File torchvision, File other) {
    CAPTURE(std::string(name));
    // Tensors come in the same order in both files: those of the one get the values of the other.
    REQUIRE(torchvision.tensors.size() == other.tensors.size());
    for (std::size_t i = 0; i < other.tensors.size(); ++i) {
      REQUIRE(other.tensors[i].tensor.shape() == torchvision.tensors[i].tensor.shape());
      other.tensors[i].tensor = torchvision.tensors[i].tensor;
    }
    a->reset(Rng(1)), b->reset(Rng(1));
    load(*a, name, torchvision);
    load(*b, name, other);
    const Tensor x = run(*a), y = run(*b);
    CHECK(std::ranges::equal(x.span<float>(), y.span<float>()));
    CHECK(std::isfinite(x.span<float>()[0]));
  };
  same("mobilenet_v2", layers::mobilenet_v2(1000), layers::mobilenet_v2(1000), torchvision_mobilenet(),
       timm(kMobileNet, false));
  same("efficientnet_b0", layers::efficientnet_b0(3), layers::efficientnet_b0(3), torchvision_efficientnet(),
       timm(kEfficientNet, true));
}

TEST_CASE("what is wrong in a file of torchvision or timm is listed in one message, and nothing is changed") {
  File file = torchvision_mobilenet();
  std::erase_if(file.tensors, [](const NamedTensor& named) {
    return named.name == "features.4.conv.1.1.running_var" || named.name == "features.18.0.weight";
  });
  file.find("features.2.conv.0.0.weight").tensor = Tensor::zeros({96, 1, 1, 16});
  file.find("features.0.1.bias").tensor = Tensor::zeros({32}, Dtype::i32);
  file.tensors.push_back({"features.19.0.weight", Tensor::zeros({4})});
  const auto model = layers::mobilenet_v2(1000);
  model->reset(Rng(1));
  const float before = by_name(*model).at("features.1.conv.1.weight").span<float>()[0];
  CHECK_ERROR(
      load(*model, "mobilenet_v2", file),
      "weights.safetensors: its tensors are not those of the model; 2 missing: "
      "features.4.conv.1.1.running_var f32[144], features.18.0.weight f32[1280,320,1,1]; 2 of a wrong "
      "shape or type: features.0.1.bias is i32[32], expected f32[32], features.2.conv.0.0.weight is "
      "f32[96,1,1,16], expected f32[96,16,1,1]; 1 that the model does not have: features.19.0.weight f32[4]");
  CHECK(by_name(*model).at("features.1.conv.1.weight").span<float>()[0] == before);
  // A head for other classes stays as it is.
  const auto two = layers::mobilenet_v2(2);
  two->reset(Rng(1));
  const layers::Pretrained done = load(*two, "mobilenet_v2", torchvision_mobilenet());
  CHECK(done.loaded == 104);
  CHECK(done.unchanged.size() == 5);
}
