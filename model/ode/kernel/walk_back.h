/* The exact gradient of a walk: from the cotangents of the answers to those of the start, of every
 * parameter, and of the times. Walks from the last knot to the first.
 *
 * What is not finite has no gradient and gives none: a sample that breaks counts up to the last knot
 * at which it was whole, and spoils no sum over samples. */

#ifndef LACUNA_WALK_BACK_H
#define LACUNA_WALK_BACK_H

#include "walk.h"

/* Scratch of a block's way back; rows of the block, `stride` floats each. */
typedef struct {
    float *cotangents;        /* tape of one step */
    float *g_knots, *g_slopes; /* [knot, row, stride]: what the queries ask of each knot */
    float *g_stages;          /* [stage, row, stride]: of the derivatives, before the factor step */
    float *g_state, *g_input, *g_derivative; /* [row, stride] */
    NetGradient *total;
    int has_broken; /* whether a sample of the block is not finite at its last knot */
} BackScratch;

static long back_scratch_size(const Solve *solve, const Net *net, long rows)
{
    long size = padded(rows * net->stride[0]);
    return solve->stages * rows * tape_width(net) + (2 * (solve->steps + 1) + solve->stages + 3) * size;
}

static void lay_out(BackScratch *scratch, const Solve *solve, const Net *net, long rows, float *memory)
{
    long size = padded(rows * net->stride[0]);
    scratch->cotangents = take(&memory, solve->stages * rows * tape_width(net));
    scratch->g_knots = take(&memory, (solve->steps + 1) * size);
    scratch->g_slopes = take(&memory, (solve->steps + 1) * size);
    scratch->g_stages = take(&memory, solve->stages * size);
    scratch->g_state = take(&memory, size);
    scratch->g_input = take(&memory, size);
    scratch->g_derivative = take(&memory, size);
}

static float sum_of(vec v)
{
    float sum = 0.0f;
    for (long i = 0; i < WIDTH; i++)
        sum += v[i];
    return sum;
}

/* Whether the state or the derivative at a knot is not finite; it stays so from there on. */
static int is_broken(const Block *block, long knot, long r)
{
    const float *y = knot_row(block, block->solve->knots, knot, r);
    const float *f = knot_row(block, block->solve->slopes, knot, r);
    vec nothing = {0.0f};
    for (long j = 0; j < block->net->state; j += WIDTH)
        nothing += 0.0f * READ(y + j) + 0.0f * READ(f + j);
    return sum_of(nothing) != 0.0f;
}

/* The next `left` floats of a row that is not padded, at most a vector; then zeros. */
INLINE vec read_row(const float *from, long left)
{
    if (left >= WIDTH)
        return READ(from);
    vec found = {0.0f};
    for (long i = 0; i < left; i++)
        found[i] = from[i];
    return found;
}

/* Cotangents of times: of one query, or of a sample's start and step. */
static void add_time_gradient(const Solve *solve, long sample, double g_start, double g_step)
{
    if (solve->g_t0) {
        solve->g_t0[sample] += g_start;
        solve->g_step[sample] += g_step;
    }
}

/* One query's cotangent, to both ends of its step and to the times. */
static void pull_back_query(const Block *block, BackScratch *scratch, long r, long q)
{
    const Solve *solve = block->solve;
    long state = block->net->state, stride = block->net->stride[0], rows = block->rows;
    long sample = block->first + r, index = sample * solve->queries + q;
    Place place = locate(solve, sample, q);
    if (scratch->has_broken && is_broken(block, place.knot + 1, r))
        return;
    const float *ends[4] = {
        knot_row(block, solve->knots, place.knot, r), knot_row(block, solve->knots, place.knot + 1, r),
        knot_row(block, solve->slopes, place.knot, r), knot_row(block, solve->slopes, place.knot + 1, r)};
    float *left = scratch->g_knots + (place.knot * rows + r) * stride, *right = left + rows * stride;
    float *from = scratch->g_slopes + (place.knot * rows + r) * stride, *to = from + rows * stride;
    double step = solve->step[sample], inverse = step != 0.0 ? 1.0 / step : 0.0;
    float stretch[4] = {0.0f, 0.0f, (float)(place.value[2] * inverse), (float)(place.value[3] * inverse)};
    vec along = {0.0f}, longer = {0.0f};
    for (long j = 0; j < state; j += WIDTH) {
        vec g = read_row(solve->g_ys + index * state + j, state - j);
        AT(left + j) = multiply_add(all(place.value[0]), g, READ(left + j));
        AT(right + j) = multiply_add(all(place.value[1]), g, READ(right + j));
        AT(from + j) = multiply_add(all(place.value[2]), g, READ(from + j));
        AT(to + j) = multiply_add(all(place.value[3]), g, READ(to + j));
        if (solve->g_times || solve->g_t0) {
            along = multiply_add(g, between(ends, place.slope, j), along);
            longer = multiply_add(g, between(ends, stretch, j), longer);
        }
    }
    double g_time = sum_of(along);
    if (solve->g_times)
        solve->g_times[index] = g_time;
    add_time_gradient(solve, sample, -g_time, sum_of(longer) - place.position * g_time);
}

/* What moves in time within a step: the clock of a stage, and the size of the step itself. */
static void pull_back_clock(const Block *block, BackScratch *scratch, long knot, long stage)
{
    const Solve *solve = block->solve;
    long state = block->net->state, stride = block->net->stride[0], size = block->rows * stride;
    if (!solve->g_t0)
        return;
    for (long r = 0; r < block->rows; r++) {
        const float *f = block->derivatives + stage * size + r * stride;
        const float *g = scratch->g_stages + stage * size + r * stride;
        double clock = 0.0, longer = 0.0;
        for (long j = 0; j < state && knot < solve->steps; j++)
            longer += (double)f[j] * g[j];
        if (block->net->has_time)
            clock = (double)block->net->time_scale * scratch->g_input[r * stride + state];
        longer += (knot + solve->c[stage]) * clock;
        add_time_gradient(solve, block->first + r, clock, longer);
    }
}

/* Compute the derivatives of a step's stages again, with the tape where none is kept. */
static void restore_step(const Block *block, long knot)
{
    const Solve *solve = block->solve;
    const Net *net = block->net;
    long count = evaluations_at(solve, knot), size = block->rows * net->stride[0];
    if (!solve->tape) {
        take_step(block, knot);
        return;
    }
    if (!solve->g_t0)
        return;
    float *tape = tape_at(block, knot);
    for (long s = 0; s < count; s++)
        set_derivative(net, tape, count, block->rows, s, block->derivatives + s * size);
}

/* g += weight * source, each row times its own step if `by_step`. */
static void add_rows(const Block *block, float weight, const float *source, int by_step, float *g)
{
    long stride = block->net->stride[0];
    for (long r = 0; r < block->rows; r++) {
        float factor = by_step ? weight * (float)block->solve->step[block->first + r] : weight;
        for (long i = r * stride; i < (r + 1) * stride; i += WIDTH)
            AT(g + i) = multiply_add(all(factor), READ(source + i), READ(g + i));
    }
}

/* Take out of a step the stages and the later cotangents of samples that are not finite. */
static void leave_out_broken(const Block *block, BackScratch *scratch, long knot)
{
    const Solve *solve = block->solve;
    long count = evaluations_at(solve, knot), stride = block->net->stride[0];
    clear_broken(block->net, tape_at(block, knot), count, block->rows);
    for (long r = 0; r < block->rows; r++)
        if (is_broken(block, least(knot + 1, solve->steps), r)) {
            memset(scratch->g_state + r * stride, 0, stride * sizeof(float));
            for (long s = 0; s < count; s++)
                memset(block->derivatives + (s * block->rows + r) * stride, 0, stride * sizeof(float));
        }
}

/* From the cotangent of the state at the next knot, in `g_state`, to that at this knot. */
static void pull_back_step(const Block *block, BackScratch *scratch, long knot)
{
    const Solve *solve = block->solve;
    const Net *net = block->net;
    long count = evaluations_at(solve, knot), size = block->rows * net->stride[0];
    float *tape = tape_at(block, knot);
    restore_step(block, knot);
    if (scratch->has_broken)
        leave_out_broken(block, scratch, knot);
    memset(scratch->g_stages, 0, solve->stages * size * sizeof(float));
    for (long s = 0; s < count && knot < solve->steps; s++)
        add_rows(block, solve->b[s], scratch->g_state, 0, scratch->g_stages + s * size);
    add_rows(block, 1.0f, scratch->g_knots + knot * size, 0, scratch->g_state);
    for (long s = count - 1; s >= 0; s--) {
        const float *asked = s ? net->zeros : scratch->g_slopes + knot * size;
        if (s)
            memset(scratch->g_derivative, 0, size * sizeof(float));
        else
            memcpy(scratch->g_derivative, asked, size * sizeof(float));
        add_rows(block, 1.0f, scratch->g_stages + s * size, 1, scratch->g_derivative);
        pull_back(net, tape, scratch->cotangents, count, block->rows, s, scratch->g_derivative,
                  scratch->total, scratch->g_input);
        pull_back_clock(block, scratch, knot, s);
        add_rows(block, 1.0f, scratch->g_input, 0, scratch->g_state);
        for (long i = 0; i < s; i++)
            add_rows(block, solve->a[s * solve->stages + i], scratch->g_input, 0,
                     scratch->g_stages + i * size);
    }
    if (solve->g_weights)
        add_weight_gradients(net, tape, scratch->cotangents, count, block->rows,
                             scratch->total);
}

static void walk_back(const Block *block, BackScratch *scratch)
{
    const Solve *solve = block->solve;
    long state = block->net->state, stride = block->net->stride[0], size = block->rows * stride;
    memset(scratch->g_knots, 0, (solve->steps + 1) * size * sizeof(float));
    memset(scratch->g_slopes, 0, (solve->steps + 1) * size * sizeof(float));
    memset(scratch->g_state, 0, size * sizeof(float));
    scratch->has_broken = 0;
    for (long r = 0; r < block->rows; r++)
        scratch->has_broken |= is_broken(block, solve->steps, r);
    for (long r = 0; r < block->rows; r++)
        for (long q = 0; q < solve->queries; q++)
            pull_back_query(block, scratch, r, q);
    for (long knot = solve->steps; knot >= 0; knot--)
        pull_back_step(block, scratch, knot);
    for (long r = 0; r < block->rows; r++)
        memcpy(solve->g_y0 + (block->first + r) * state, scratch->g_state + r * stride,
               state * sizeof(float));
}

#endif
