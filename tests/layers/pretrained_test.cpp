#include <lathe/base/half.h>
#include <lathe/core/autograd.h>
#include <lathe/layers/image_models.h>
#include <lathe/layers/pretrained.h>

#include <cstring>

#include "support/errors.h"
#include "support/temporary_folder.h"

using namespace lathe;
using layers::NamedTensor;

namespace {

/// A body and a head.
std::unique_ptr<layers::Sequential> small(int classes) {
  auto model = std::make_unique<layers::Sequential>();
  model->add<layers::Linear>("body", {.in = 2, .out = 3});
  model->add<layers::Linear>("bodyguard", {.in = 3, .out = 3});
  auto head = std::make_unique<layers::Sequential>();
  head->add<layers::Linear>("0", {.in = 3, .out = classes});
  model->append("head", std::move(head));
  model->reset(Rng(1));
  return model;
}

Tensor halves(const std::vector<float>& values, const Shape& shape) {
  Tensor tensor = Tensor::empty(shape, Dtype::f16);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::uint16_t bits = float_to_half(values[i]);
    std::memcpy(tensor.mutable_raw().data() + 2 * i, &bits, 2);
  }
  return tensor;
}

const Tensor& find(const std::vector<NamedTensor>& tensors, const std::string& name) {
  for (const NamedTensor& named : tensors)
    if (named.name == name) return named.tensor;
  FAIL("no tensor " << name);
  return tensors[0].tensor;
}

}  // namespace

TEST_CASE("pretrained: tensors are copied, halves become floats") {
  const auto from = small(4), to = small(4);
  from->reset(Rng(2));
  std::vector<NamedTensor> tensors = layers::weights(*from);
  for (NamedTensor& named : tensors)
    if (named.name == "body.bias") named.tensor = halves({0.5f, -2, 3}, {3});
  const layers::Pretrained done = layers::load_pretrained(*to, tensors, "a file");
  CHECK(done.loaded == 6);
  CHECK(done.unchanged.empty());
  const auto own = layers::weights(*to);
  CHECK(find(own, "body.bias").span<float>()[1] == -2);
  CHECK(find(own, "body.weight").span<float>()[0] == find(tensors, "body.weight").span<float>()[0]);
}

TEST_CASE("pretrained: one message lists everything that does not fit, and nothing is changed") {
  const auto from = small(4), to = small(2);
  std::vector<NamedTensor> tensors = layers::weights(*from);
  tensors.erase(tensors.begin());                           // body.weight
  tensors.push_back({"other.weight", Tensor::zeros({5})});  // extra
  for (NamedTensor& named : tensors)
    if (named.name == "bodyguard.bias") named.tensor = Tensor::zeros({3}, Dtype::i32);
  const float before = find(layers::weights(*to), "bodyguard.weight").span<float>()[0];
  CHECK_ERROR(
      layers::load_pretrained(*to, tensors, "a file"),
      "a file: its tensors are not those of the model; 1 missing: body.weight f32[3,2]; 3 of a wrong shape "
      "or "
      "type: bodyguard.bias is i32[3], expected f32[3], head.0.weight is f32[4,3], expected f32[2,3], "
      "head.0.bias is f32[4], expected f32[2]; 1 that the model does not have: other.weight f32[5]");
  CHECK(find(layers::weights(*to), "bodyguard.weight").span<float>()[0] == before);
}

TEST_CASE("pretrained: a head for other classes stays as it was") {
  const auto from = small(4), to = small(2);
  from->reset(Rng(2));
  const layers::Pretrained done =
      layers::load_pretrained(*to, layers::weights(*from), "a file", {.head = "head"});
  CHECK(done.loaded == 4);
  CHECK(done.unchanged == std::vector<std::string>{"head.0.weight", "head.0.bias"});
  // "body" is no part of "bodyguard".
  std::vector<NamedTensor> tensors = layers::weights(*from);
  std::erase_if(tensors, [](const NamedTensor& named) { return named.name.starts_with("bodyguard"); });
  CHECK_ERROR(layers::load_pretrained(*to, tensors, "a file", {.head = "body"}),
              "2 missing: bodyguard.weight");
}

TEST_CASE("pretrained: names can be mapped, and tensors left out") {
  const auto from = small(2), to = small(2);
  from->reset(Rng(2));
  std::vector<NamedTensor> tensors;
  for (const NamedTensor& named : layers::weights(*from))
    if (!named.name.ends_with("bias")) tensors.push_back({"net." + named.name, named.tensor});
  const layers::Pretrained done =
      layers::load_pretrained(*to, tensors, "a file", {.name = [](const std::string& name) {
        return name.ends_with("bias") ? std::string() : "net." + name;
      }});
  CHECK(done.loaded == 3);
  CHECK(done.unchanged.size() == 3);
}

TEST_CASE("pretrained: mobilenet_v2 takes files with and without its own normalisation and classes") {
  const TemporaryFolder folder;
  const auto imagenet = layers::mobilenet_v2(10), own = layers::mobilenet_v2(2);
  imagenet->reset(Rng(4));
  std::vector<NamedTensor> tensors = layers::weights(*imagenet);
  std::erase_if(tensors, [](const NamedTensor& named) { return named.name.starts_with("normalize."); });
  layers::save_safetensors({tensors, {}}, folder / "imagenet.safetensors");
  const auto done = layers::load_pretrained(*own, "mobilenet_v2", folder / "imagenet.safetensors");
  CHECK(done.loaded == 104);
  CHECK(done.unchanged.size() == 5);
  layers::save_weights(*own, "mobilenet_v2", folder / "own.safetensors");
  const auto again = layers::mobilenet_v2(2);
  CHECK(layers::load_pretrained(*again, "mobilenet_v2", folder / "own.safetensors").loaded == 109);
  CHECK_ERROR(layers::load_pretrained(*again, "mobilenet_v2", folder / "none.safetensors"), "No such file");
  CHECK_ERROR(layers::load_pretrained(*small(2), "small_cnn", folder / "own.safetensors"),
              "own.safetensors: its tensors are not those of the model; 6 missing: ");
}

TEST_CASE("frozen parameters get no gradient and are not trained") {
  const auto model = small(2);
  CHECK(layers::freeze(*model, {"body"}) == 9);
  CHECK(layers::freeze(*model, {"bodyg*"}) == 9 + 12);
  const auto trainable = layers::trainable_parameters(*model);
  REQUIRE(trainable.size() == 2);
  CHECK(trainable[0].name == "head.0.weight");
  sum((*model)(Tensor::full({1, 2}, 1))).backward();
  for (const auto& [name, parameter] : model->parameters())
    CHECK(static_cast<bool>(parameter.master().grad()) == name.starts_with("head"));
  CHECK_ERROR(layers::freeze(*model, {"tail*"}),
              "freeze: 'tail*' matches no parameter; there are: body.weight, ");
}
