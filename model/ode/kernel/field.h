/* The vector field f(t, y) = gain * N(y, time_scale * t) - decay * y, N a perceptron with tanh
 * between its layers, and its transposed derivative, on the rows of a block of samples.
 *
 * A tape holds what an evaluation computed: the input of every layer and the output of the last,
 * for `count` evaluations of a block, layer by layer, so that one product makes the gradient of a
 * weight from all of them.
 */

#ifndef LACUNA_FIELD_H
#define LACUNA_FIELD_H

#include <stdlib.h>
#include <string.h>

#include "tile.h"

#define MAX_LAYERS 16
#define MAX_STAGES 8

/* As the caller gives it: rows as torch keeps them; `gain` and `decay` may be NULL. */
typedef struct {
    long num_layers, has_time;
    const long *widths; /* num_layers + 1: of the first input (time included) to the state */
    const float *const *weights, *const *biases;
    const float *gain, *decay;
    float time_scale;
} Field;

typedef struct {
    long num_layers, state, has_time;
    float time_scale;
    long width[MAX_LAYERS + 1];  /* of the input of each layer and the output of the last */
    long stride[MAX_LAYERS + 1]; /* of their rows: padded; the same for the first and the last */
    long offset[MAX_LAYERS + 2]; /* floats of a row of tape before each of them */
    const float *forward[MAX_LAYERS], *backward[MAX_LAYERS], *bias[MAX_LAYERS];
    const float *gain, *decay, *zeros;
    float *memory;
} Net;

/* Where the gradient of each parameter is summed; weights transposed [in, padded out]. */
typedef struct {
    float *weight[MAX_LAYERS], *bias[MAX_LAYERS], *gain, *decay;
} NetGradient;

INLINE float *take(float **memory, long count)
{
    float *taken = *memory;
    *memory += padded(count);
    return taken;
}

static float *allocate(long count)
{
    size_t bytes = ((size_t)padded(count) * sizeof(float) + 63) / 64 * 64;
    return aligned_alloc(64, bytes ? bytes : 64);
}

static void set_shape(Net *net, const Field *field)
{
    long last = net->num_layers = field->num_layers;
    net->state = field->widths[last];
    net->has_time = field->has_time;
    net->time_scale = field->time_scale;
    net->offset[0] = 0;
    for (long l = 0; l <= last; l++) {
        net->width[l] = field->widths[l];
        net->stride[l] = padded(field->widths[l == last ? 0 : l]);
        net->offset[l + 1] = net->offset[l] + net->stride[l];
    }
}

static const float *padded_copy(const float *from, float filler, long count, float *to)
{
    memset(to, 0, padded(count) * sizeof(float));
    for (long i = 0; i < count; i++)
        to[i] = from ? from[i] : filler;
    return to;
}

/* Returns whether there was memory. `free(net->memory)` afterwards. */
static int prepare(Net *net, const Field *field)
{
    set_shape(net, field);
    long size = 0, widest = net->stride[0];
    for (long l = 0; l < net->num_layers; l++) {
        long in = net->width[l], out = net->width[l + 1];
        size += in * padded(out) + out * padded(in) + padded(out) + 2 * WIDTH;
        widest = net->stride[l] > widest ? net->stride[l] : widest;
    }
    float *memory = net->memory = allocate(size + 3 * widest);
    if (!memory)
        return 0;
    for (long l = 0; l < net->num_layers; l++) {
        long in = net->width[l], out = net->width[l + 1];
        float *forward = take(&memory, in * padded(out)), *backward = take(&memory, out * padded(in));
        pack((Matrix){field->weights[l], 1, in}, in, out, forward);
        pack((Matrix){field->weights[l], in, 1}, out, in, backward);
        net->forward[l] = forward;
        net->backward[l] = backward;
        net->bias[l] = padded_copy(field->biases[l], 0.0f, out, take(&memory, out));
    }
    net->gain = memset(take(&memory, widest), 0, widest * sizeof(float));
    net->decay = memset(take(&memory, widest), 0, widest * sizeof(float));
    net->zeros = memset(take(&memory, widest), 0, widest * sizeof(float));
    padded_copy(field->gain, 1.0f, net->state, (float *)net->gain);
    padded_copy(field->decay, 0.0f, net->state, (float *)net->decay);
    return 1;
}

/* The rows of layer l of one evaluation on a tape of `count` evaluations of `rows` rows. */
INLINE float *on_tape(const Net *net, float *tape, long count, long rows, long evaluation, long l)
{
    return tape + (net->offset[l] * count + net->stride[l] * evaluation) * rows;
}

/* The derivative of an evaluation that is on the tape: gain * output - decay * input. */
static void set_derivative(const Net *net, float *tape, long count, long rows, long evaluation,
                           float *derivative)
{
    long stride = net->stride[0];
    const float *input = on_tape(net, tape, count, rows, evaluation, 0);
    const float *output = on_tape(net, tape, count, rows, evaluation, net->num_layers);
    for (long j = 0; j < stride; j += WIDTH) {
        vec gain = READ(net->gain + j), decay = READ(net->decay + j), none = {0.0f};
        for (long i = j; i < rows * stride; i += stride)
            if (j < net->state)
                AT(derivative + i) = multiply_add(-decay, READ(input + i), gain * READ(output + i));
            else
                AT(derivative + i) = none;
    }
}

/* Set the input of an evaluation on the tape first; its derivative goes to `derivative`. */
static void evaluate(const Net *net, float *tape, long count, long rows, long evaluation,
                     float *derivative)
{
    long last = net->num_layers;
    const float *x = on_tape(net, tape, count, rows, evaluation, 0);
    for (long l = 0; l < last; l++) {
        float *out = on_tape(net, tape, count, rows, evaluation, l + 1);
        Matrix left = {x, net->stride[l], 1};
        multiply(rows, net->width[l + 1], net->width[l], left, net->forward[l], 0, net->bias[l], 0, out,
                 net->stride[l + 1]);
        if (l + 1 < last)
            for (long i = 0; i < rows * net->stride[l + 1]; i += WIDTH)
                AT(out + i) = fast_tanh(READ(out + i));
        x = out;
    }
    set_derivative(net, tape, count, rows, evaluation, derivative);
}

/* From the cotangent of a derivative to that of the evaluation's input, and on the way to those of
 * the sums that enter each tanh: they stay on `cotangents`, a tape of the same shape. */
static void pull_back(const Net *net, float *tape, float *cotangents, long count, long rows,
                      long evaluation, const float *g, NetGradient *total, float *g_input)
{
    long last = net->num_layers, stride = net->stride[0];
    float *right = on_tape(net, cotangents, count, rows, evaluation, last);
    const float *output = on_tape(net, tape, count, rows, evaluation, last);
    const float *input = on_tape(net, tape, count, rows, evaluation, 0);
    for (long j = 0; j < padded(net->state); j += WIDTH) {
        vec gain = READ(net->gain + j), sum = READ(total->gain + j), lost = READ(total->decay + j);
        for (long i = j; i < rows * stride; i += stride) {
            AT(right + i) = gain * READ(g + i);
            sum = multiply_add(READ(g + i), READ(output + i), sum);
            lost = multiply_add(-READ(g + i), READ(input + i), lost);
        }
        AT(total->gain + j) = sum;
        AT(total->decay + j) = lost;
    }
    for (long l = last - 1; l >= 0; l--) {
        float *out = l ? on_tape(net, cotangents, count, rows, evaluation, l) : g_input;
        const float *h = on_tape(net, tape, count, rows, evaluation, l);
        Matrix left = {right, net->stride[l + 1], 1};
        multiply(rows, net->width[l], net->width[l + 1], left, net->backward[l], 0, net->zeros, 0, out,
                 net->stride[l]);
        if (l)
            for (long i = 0; i < rows * net->stride[l]; i += WIDTH)
                AT(out + i) = multiply_add(-READ(out + i) * READ(h + i), READ(h + i), READ(out + i));
        right = out;
    }
    for (long j = 0; j < padded(net->state); j += WIDTH)
        for (long i = j; i < rows * stride; i += stride)
            AT(g_input + i) = multiply_add(-READ(net->decay + j), READ(g + i), READ(g_input + i));
}

/* Clear the evaluations whose input or output is not finite, so that 0 * NaN enters no sum. */
static void clear_broken(const Net *net, float *tape, long count, long rows)
{
    for (long i = 0; i < count * rows; i++) {
        const float *x = on_tape(net, tape, count, rows, 0, 0) + i * net->stride[0];
        const float *y = on_tape(net, tape, count, rows, 0, net->num_layers) + i * net->stride[0];
        float nothing = 0.0f;
        for (long j = 0; j < net->width[0]; j++)
            nothing += 0.0f * x[j] + (j < net->state ? 0.0f * y[j] : 0.0f);
        for (long l = 0; l <= net->num_layers && nothing != 0.0f; l++)
            memset(on_tape(net, tape, count, rows, 0, l) + i * net->stride[l], 0,
                   net->stride[l] * sizeof(float));
    }
}

/* Add the gradients of weights and biases from all evaluations on a tape. */
static void add_weight_gradients(const Net *net, float *tape, float *cotangents, long count,
                                 long rows, NetGradient *total)
{
    for (long l = 0; l < net->num_layers; l++) {
        const float *x = on_tape(net, tape, count, rows, 0, l);
        const float *g = on_tape(net, cotangents, count, rows, 0, l + 1);
        long depth = count * rows, out = net->width[l + 1], stride = net->stride[l + 1];
        multiply(net->width[l], out, depth, (Matrix){x, 1, net->stride[l]}, g, stride,
                 total->weight[l], padded(out), total->weight[l], padded(out));
        for (long j = 0; j < out; j += WIDTH) {
            vec sum = READ(total->bias[l] + j);
            for (long i = 0; i < depth; i++)
                sum += READ(g + i * stride + j);
            AT(total->bias[l] + j) = sum;
        }
    }
}

#endif
