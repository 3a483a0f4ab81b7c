// The large networks in their full size: deployed plans against the module, with random weights and
// statistics of generated pictures.

#include "support/relative_error.h"
#include "support/run_plan.h"

#include <lathe/compress/batch_norm.h>
#include <lathe/compress/calibrate.h>
#include <lathe/compress/quantize.h>
#include <lathe/compress/trace.h>
#include <lathe/core/autograd.h>
#include <lathe/datasets/augment.h>
#include <lathe/datasets/loader.h>
#include <lathe/layers/models.h>
#include <lathe/runtime/plan.h>

using namespace lathe;

namespace {

constexpr std::int64_t kBatch = 2;

datasets::DataLoader pictures(const Shape& input) {
  datasets::DatasetPtr data = datasets::open("synthetic-shapes", {}).train;
  data = datasets::map(datasets::take(data, 8), datasets::random_resized_crop(
                                                    input[1], input[2], {.least_area = 1, .most_aspect = 1}));
  return {data, {.batch = kBatch}};
}

}  // namespace

TEST_CASE("large networks compute as plans what they compute as modules, in every variant") {
  for (const char* name : {"mobilenet_v1", "resnet_v2_101", "inception_v3"}) {
    CAPTURE(std::string(name));
    const layers::ModelInfo& info = layers::find_model(name);
    const auto model = info.make();
    model->reset(Rng(1));
    const datasets::DataLoader loader = pictures(info.input);
    compress::re_estimate_batch_norm(*model, loader);
    model->eval();
    const NoGrad no_grad;
    const Tensor x = loader.epoch(0).next()->images;
    const Tensor wanted = (*model)(x);
    const graph::Graph real = compress::export_float(*model, info.input);
    const runtime::Level best = runtime::best_level();
    CHECK(relative_error(run_plan(real, x, {.level = best}), wanted.span<float>()) < 1e-4);
    // Random networks amplify what is rounded, trained ones do not: of the 0.0005 of half precision they make
    // 0.03 to 0.06, of 8-bit weights 0.2 to 0.6. Scores that have nothing to do with each other are at 1.4.
    CHECK(relative_error(run_plan(compress::to_half(real), x, {.level = best}), wanted.span<float>()) < 0.1);
    const compress::Ranges ranges = compress::calibrate(real, std::span(&x, 1));
    std::vector<compress::FloatNode> left;
    const graph::Graph int8 = compress::quantize(real, ranges, {}, &left);
    CHECK(left.empty());
    const std::vector<float> codes = run_plan(int8, x, {.level = best});
    CHECK(relative_error(codes, wanted.span<float>()) < 0.75);
    for (int level = 1; level < static_cast<int>(best); ++level)
      CHECK(run_plan(int8, x, {.level = static_cast<runtime::Level>(level)}) == codes);
    const graph::Graph wide = compress::quantize(real, ranges, {.scheme = compress::Scheme::int16x8}, &left);
    CHECK(left.empty());
    const std::vector<float> wide_codes = run_plan(wide, x, {.level = best});
    CHECK(relative_error(wide_codes, wanted.span<float>()) < 0.75);
    if (best > runtime::Level::avx2) CHECK(run_plan(wide, x, {.level = runtime::Level::avx2}) == wide_codes);
    CHECK(relative_error(run_plan(compress::quantize_dynamic(real), x, {.level = best}),
                         wanted.span<float>()) < 0.75);
  }
}
