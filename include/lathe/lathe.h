#pragma once

/// Everything a training program needs.
#include <lathe/compress/batch_norm.h>
#include <lathe/compress/cluster.h>
#include <lathe/compress/distill.h>
#include <lathe/compress/passes.h>
#include <lathe/compress/prune.h>
#include <lathe/compress/quantize.h>
#include <lathe/compress/quantize_aware.h>
#include <lathe/compress/strip.h>
#include <lathe/compress/trace.h>
#include <lathe/core/autograd.h>
#include <lathe/core/ops.h>
#include <lathe/core/tensor.h>
#include <lathe/datasets/dataset.h>
#include <lathe/datasets/loader.h>
#include <lathe/datasets/mix.h>
#include <lathe/graph/graph.h>
#include <lathe/graph/model_file.h>
#include <lathe/layers/checkpoint.h>
#include <lathe/layers/layers.h>
#include <lathe/layers/models.h>
#include <lathe/optim/callbacks.h>
#include <lathe/optim/optimizer.h>
#include <lathe/optim/trainer.h>
#include <lathe/runtime/plan.h>
#include <lathe/version.h>
