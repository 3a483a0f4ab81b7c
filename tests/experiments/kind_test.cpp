#include "kind.h"

#include "support/errors.h"

#include <doctest/doctest.h>

#include <string>

using lathe::experiments::parse_kind;

namespace {

std::string canonical(const char* text) { return to_string(parse_kind(text)); }

}  // namespace

TEST_CASE("a kind is passes joined by +, written in one order") {
  CHECK(parse_kind("baseline").is_baseline());
  CHECK(canonical("baseline") == "baseline");
  CHECK(canonical("prune-0.8") == "prune-0.8");
  CHECK(canonical("prune-0.80") == "prune-0.8");
  CHECK(canonical("qat+cluster-16+prune-0.8") == "prune-0.8+cluster-16+qat");
  CHECK(canonical("prune-2:4+kd") == "kd+prune-2:4");
  CHECK(parse_kind("cluster-8").clusters == 8);
  CHECK(parse_kind("prune-1:4").pattern->zeros == 1);
  CHECK(parse_kind("kd").distil);
  CHECK(canonical("qat+prune-0.80-16x4") == "prune-0.8-16x4+qat");
  CHECK(canonical("prune-0.5-4x1-dense") == "prune-0.5-4x1-dense");
  CHECK(parse_kind("prune-0.8-16x4").block->inputs == 4);
  CHECK(canonical("cluster-16-linear") == "cluster-16-linear");
  CHECK(canonical("cluster-16-kmeans") == "cluster-16");
}

TEST_CASE("short names stand for the usual combinations") {
  CHECK(canonical("pqat") == "prune-0.8+qat");
  CHECK(canonical("cqat") == "cluster-16+qat");
  CHECK(canonical("pcqat") == "prune-0.8+cluster-16+qat");
  CHECK(canonical("kd+pcqat") == "kd+prune-0.8+cluster-16+qat");
}

TEST_CASE("pruning and quantization can be kept to the linear layers") {
  CHECK(canonical("qat-dense+prune-0.50-dense") == "prune-0.5-dense+qat-dense");
  CHECK(canonical("prune-2:4-dense") == "prune-2:4-dense");
  CHECK(parse_kind("prune-0.5-dense").prune_dense);
  CHECK_FALSE(parse_kind("prune-0.5-dense+qat").quantize_dense);
  CHECK(parse_kind("qat-dense").quantize_dense);
  CHECK_ERROR(parse_kind("prune-dense"), "the sparsity is above 0");
  CHECK_ERROR(parse_kind("qat+qat-dense"), "it is there twice");
  CHECK_ERROR(parse_kind("cluster-16-dense"), "kmeans, linear, random or density");
}

TEST_CASE("a kind that does not exist is refused with those that do") {
  CHECK_ERROR(parse_kind("prune"), "there is no kind 'prune'; there are baseline, kd, prune-S");
  CHECK_ERROR(parse_kind(""), "there is no kind ''");
  CHECK_ERROR(parse_kind("qat+"), "there is no kind ''");
  CHECK_ERROR(parse_kind("baseline+qat"), "there is no kind 'baseline'");
  CHECK_ERROR(parse_kind("prune-1"), "'prune-1': the sparsity is above 0 and below 1");
  CHECK_ERROR(parse_kind("prune-0"), "the sparsity is above 0");
  CHECK_ERROR(parse_kind("prune-nan"), "the sparsity is above 0");
  CHECK_ERROR(parse_kind("prune-0.8x"), "the sparsity is above 0");
  CHECK_ERROR(parse_kind("prune-0.8-"), "a block has 1 to 1024 outputs and as many inputs, 16x4");
  CHECK_ERROR(parse_kind("prune-0.8-16"), "a block has 1 to 1024");
  CHECK_ERROR(parse_kind("prune-0.8-16x"), "a block has 1 to 1024");
  CHECK_ERROR(parse_kind("prune-0.8-x4"), "a block has 1 to 1024");
  CHECK_ERROR(parse_kind("prune-0.8-0x4"), "a block has 1 to 1024");
  CHECK_ERROR(parse_kind("prune--16x4"), "the sparsity is above 0");
  CHECK_ERROR(parse_kind("prune-4:4"), "fewer zeros than there are in a group");
  CHECK_ERROR(parse_kind("prune-2:"), "fewer zeros");
  CHECK_ERROR(parse_kind("cluster-1"), "2 to 65536 clusters");
  CHECK_ERROR(parse_kind("cluster-99999999999"), "2 to 65536 clusters");
  CHECK_ERROR(parse_kind("cluster-16-best"), "kmeans, linear, random or density");
  CHECK_ERROR(parse_kind("cluster-8+cluster-16"), "clustered already");
  CHECK_ERROR(parse_kind("prune-0.5+prune-2:4"), "pruned already");
  CHECK_ERROR(parse_kind("qat+pqat"), "it is there twice");
  CHECK_ERROR(parse_kind("prune-0.5+cluster-2"), "3 are the least with pruning");
}
