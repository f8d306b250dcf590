/* An explicit Runge-Kutta walk along equal steps of each sample, its cubic Hermite dense output, and
 * the exact transposed derivative of both, for one block of samples.
 *
 * The state and the derivative at every knot are kept (`knots`, `slopes`: [knot, sample, stride]);
 * the stages between them are kept on a tape, or computed again by the way back.
 */

#ifndef LACUNA_WALK_H
#define LACUNA_WALK_H

#include "field.h"

/* Everything that the caller passes. Rows of samples; NULL for what is not wanted. */
typedef struct {
    Field field;
    long samples, steps, queries, stages, threads;
    const float *a, *b, *c; /* Butcher tableau: [stages, stages], [stages], [stages] */
    const float *y0;        /* [sample, state] */
    const double *t0, *step; /* [sample] */
    const double *times;     /* [sample, query]; or NULL, and */
    const float *short_times;
    float *knots, *slopes, *tape, *ys;
    const float *g_ys; /* [sample, query, state], and from here on only for the way back */
    float *g_y0, *const *g_weights, *const *g_biases, *g_gain, *g_decay;
    double *g_times, *g_t0, *g_step;
} Solve;

/* Samples that are computed together, and what they need. */
typedef struct {
    const Solve *solve;
    const Net *net;
    long first, rows;
    float *tape;        /* of this block, all steps, or of one step if none is kept */
    float *derivatives; /* [stage, row, stride] */
} Block;

INLINE long tape_width(const Net *net) { return net->offset[net->num_layers + 1]; }

INLINE float *knot_row(const Block *block, float *knots, long knot, long row)
{
    return knots + (knot * block->solve->samples + block->first + row) * block->net->stride[0];
}

/* The last knot has one evaluation, every other as many as the method has stages. */
INLINE long evaluations_at(const Solve *solve, long knot)
{
    return knot < solve->steps ? solve->stages : 1;
}

INLINE float *tape_at(const Block *block, long knot)
{
    if (!block->solve->tape)
        return block->tape;
    return block->tape + knot * block->solve->stages * block->rows * tape_width(block->net);
}

/* out = y + step * sum of weight * derivative, for each row of the block with its own step. */
static void combine(const Block *block, const float *y, const float *weights, long count, float *out)
{
    long stride = block->net->stride[0], size = block->rows * stride;
    for (long r = 0; r < block->rows; r++) {
        float step = (float)block->solve->step[block->first + r];
        for (long i = r * stride; i < (r + 1) * stride; i += WIDTH) {
            vec sum = READ(y + i);
            for (long s = 0; s < count; s++)
                if (weights[s] != 0.0f)
                    sum = multiply_add(all(step * weights[s]), READ(block->derivatives + s * size + i), sum);
            AT(out + i) = sum;
        }
    }
}

static void set_clock(const Block *block, long knot, float node, float *input)
{
    const Solve *solve = block->solve;
    if (!block->net->has_time)
        return;
    for (long r = 0; r < block->rows; r++) {
        double time = solve->t0[block->first + r] + (knot + node) * solve->step[block->first + r];
        input[r * block->net->stride[0] + block->net->state] = block->net->time_scale * (float)time;
    }
}

/* Evaluate the stages that begin at a knot, the knot's own first, and set the next knot. */
static void take_step(const Block *block, long knot)
{
    const Solve *solve = block->solve;
    long count = evaluations_at(solve, knot), size = block->rows * block->net->stride[0];
    float *tape = tape_at(block, knot), *y = knot_row(block, solve->knots, knot, 0);
    for (long s = 0; s < count; s++) {
        float *input = on_tape(block->net, tape, count, block->rows, s, 0);
        combine(block, y, solve->a + s * solve->stages, s, input);
        set_clock(block, knot, solve->c[s], input);
        evaluate(block->net, tape, count, block->rows, s, block->derivatives + s * size);
    }
    memcpy(knot_row(block, solve->slopes, knot, 0), block->derivatives, size * sizeof(float));
    if (knot < solve->steps)
        combine(block, y, solve->b, solve->stages, knot_row(block, solve->knots, knot + 1, 0));
}

static void start(const Block *block)
{
    long state = block->net->state, stride = block->net->stride[0];
    for (long r = 0; r < block->rows; r++) {
        float *row = knot_row(block, block->solve->knots, 0, r);
        memcpy(row, block->solve->y0 + (block->first + r) * state, state * sizeof(float));
        memset(row + state, 0, (stride - state) * sizeof(float));
    }
}

/* Where a query lies: the knot before it, and the weights of the states and slopes at both ends in
 * its value and in its derivative by time (the cubic of Hairer, Norsett, Wanner, section II.6). */
typedef struct {
    long knot;
    double position; /* in steps from the start */
    float value[4], slope[4];
} Place;

INLINE Place locate(const Solve *solve, long sample, long query)
{
    double step = solve->step[sample];
    double steps = (double)solve->steps, inverse = step != 0.0 ? 1.0 / step : 0.0;
    long index = sample * solve->queries + query;
    double time = solve->times ? solve->times[index] : (double)solve->short_times[index];
    double wanted = (time - solve->t0[sample]) * inverse;
    double held = wanted < 0.0 ? 0.0 : wanted > steps ? steps : wanted;
    Place place = {.knot = held > 0.0 ? least((long)held, solve->steps - 1) : 0, .position = held};
    double x = held - place.knot, rest = 1.0 - x;
    double rise = x * x * (3.0 - 2.0 * x);
    /* Beyond the ends the solution is held, up to what rounding makes of a time at an end. */
    double moves = wanted < -1e-6 * steps || wanted > steps * (1.0 + 1e-6) ? 0.0 : 1.0;
    place.value[0] = (float)(1.0 - rise);
    place.value[1] = (float)rise;
    place.value[2] = (float)(step * x * rest * rest);
    place.value[3] = (float)(-step * x * x * rest);
    place.slope[1] = (float)(moves * 6.0 * x * rest * inverse);
    place.slope[0] = -place.slope[1];
    place.slope[2] = (float)(moves * (1.0 - 3.0 * x) * rest);
    place.slope[3] = (float)(moves * x * (3.0 * x - 2.0));
    return place;
}

/* The weighted sum of the states and slopes at both ends. */
INLINE vec between(const float *const ends[4], const float weights[4], long j)
{
    vec sum = weights[0] * READ(ends[0] + j);
    for (long i = 1; i < 4; i++)
        sum = multiply_add(all(weights[i]), READ(ends[i] + j), sum);
    return sum;
}

static void answer_queries(const Block *block)
{
    const Solve *solve = block->solve;
    long state = block->net->state;
    for (long r = 0; r < block->rows; r++) {
        float *out = solve->ys + (block->first + r) * solve->queries * state;
        for (long q = 0; q < solve->queries; q++, out += state) {
            Place place = locate(solve, block->first + r, q);
            const float *ends[4] = {knot_row(block, solve->knots, place.knot, r),
                                    knot_row(block, solve->knots, place.knot + 1, r),
                                    knot_row(block, solve->slopes, place.knot, r),
                                    knot_row(block, solve->slopes, place.knot + 1, r)};
            /* A vector may write over into this sample's next rows, which are written next. */
            int is_inside = (solve->queries - q) * state >= padded(state);
            long whole = is_inside ? state : state / WIDTH * WIDTH;
            for (long j = 0; j < whole; j += WIDTH)
                AT(out + j) = between(ends, place.value, j);
            if (whole < state) {
                vec last = between(ends, place.value, whole);
                memcpy(out + whole, &last, (state - whole) * sizeof(float));
            }
        }
    }
}

static void walk(const Block *block)
{
    start(block);
    for (long knot = 0; knot <= block->solve->steps; knot++)
        take_step(block, knot);
    if (block->solve->queries)
        answer_queries(block);
}

#endif
