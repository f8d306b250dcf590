/* Vectors of floats, tanh, and the one matrix product of which everything else is made.
 *
 * A row is a sample (in a weight gradient: a feature), a vector holds neighboring features of a row.
 * Every element of a product is one chain of fused multiply-adds in the order of the summed index,
 * whatever the tile: so the answer of a sample does not depend on the samples beside it.
 */

#ifndef LACUNA_TILE_H
#define LACUNA_TILE_H

#if defined(__AVX__)
#include <immintrin.h>
#endif

#define WIDTH 8  /* floats in a vector: one AVX register, two of SSE or NEON */
#define ROWS 4   /* of a register tile: 4 x 3 accumulators hide the latency of a multiply-add */
#define COLS 3   /* vectors across a register tile */

typedef float vec __attribute__((vector_size(WIDTH * sizeof(float)), may_alias, aligned(4)));
typedef int vec_mask __attribute__((vector_size(WIDTH * sizeof(float)), may_alias));

#define INLINE static inline __attribute__((always_inline))
#define AT(pointer) (*(vec *)(pointer))
#define READ(pointer) (*(const vec *)(pointer))

/* Keeps the compiler from loading a vector again for each use: loads would be the limit. */
#if defined(__AVX__)
#define KEEP(value) ({ vec kept = (value); __asm__("" : "+x"(kept)); kept; })
#else
#define KEEP(value) (value)
#endif

/* x * y + z with one rounding where the processor can. Always explicit: a compiler that chooses by the
 * place in the code would make a sample's bits depend on its place in the batch. */
INLINE vec multiply_add(vec x, vec y, vec z)
{
#if defined(__AVX__) && defined(__FMA__)
    return (vec)_mm256_fmadd_ps((__m256)x, (__m256)y, (__m256)z);
#elif defined(__FP_FAST_FMAF)
    for (long i = 0; i < WIDTH; i++)
        z[i] = __builtin_fmaf(x[i], y[i], z[i]);
    return z;
#else
    return x * y + z;
#endif
}

INLINE vec all(float x) { return (vec){x, x, x, x, x, x, x, x}; }

INLINE long least(long x, long y) { return x < y ? x : y; }

INLINE long padded(long length) { return (length + WIDTH - 1) / WIDTH * WIDTH; }

/* Hold x within +-limit; a NaN stays one. */
INLINE vec clamp(vec x, float bound)
{
    const vec limit = all(bound);
#if defined(__AVX__)
    return (vec)_mm256_max_ps((__m256)-limit, _mm256_min_ps((__m256)limit, (__m256)x));
#else
    vec_mask above = x > limit, below = x < -limit;
    vec held = (vec)((above & (vec_mask)limit) | (~above & (vec_mask)x));
    return (vec)((below & (vec_mask)-limit) | (~below & (vec_mask)held));
#endif
}

/* From u = x p(x^2) / q(x^2), near tanh(x / 2), by 2 u / (1 + u^2): one division, exact at 0, odd,
 * saturated beyond the fitted range. The coefficients minimize the largest relative error on
 * [0, 9.1], which is 7e-9; rounding makes it 2e-7. A NaN stays one. */
INLINE vec fast_tanh(vec x)
{
    x = clamp(x, 9.1f);
    vec z = x * x;
    vec p = multiply_add(all(5.700594414520521e-05f), z, all(0.014881129323105933f));
    vec q = multiply_add(all(1.2240968147652356e-06f), z, all(0.001205350891058867f));
    p = multiply_add(p, z, all(0.4999999963137961f));
    q = multiply_add(q, z, all(0.11309554160929264f));
    q = multiply_add(q, z, all(1.0f));
    vec a = x * p;
    return (a + a) * q / multiply_add(a, a, q * q);
}

/* A matrix given by its first element and the distances between rows and between columns. */
typedef struct {
    const float *first;
    long row, column;
} Matrix;

/* C = start + A B for `rows` rows and `cols` vectors; `start` and C may be the same. */
INLINE void tile(const int rows, const int cols, long depth, Matrix a, const float *b, long b_row,
                 const float *start, long start_row, float *c, long c_row)
{
    vec sum[ROWS][COLS];
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < cols; j++)
            sum[i][j] = READ(start + i * start_row + j * WIDTH);
    for (long k = 0; k < depth; k++) {
        vec right[COLS];
#pragma GCC unroll 4
        for (int j = 0; j < cols; j++)
            right[j] = KEEP(READ(b + j * WIDTH));
#pragma GCC unroll 4
        for (int i = 0; i < rows; i++) {
            vec left = all(a.first[i * a.row]);
#pragma GCC unroll 4
            for (int j = 0; j < cols; j++)
                sum[i][j] = multiply_add(left, right[j], sum[i][j]);
        }
        a.first += a.column;
        b += b_row;
    }
#pragma GCC unroll 4
    for (int i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (int j = 0; j < cols; j++)
            AT(c + i * c_row + j * WIDTH) = sum[i][j];
}

/* One strip of C, `cols` vectors wide: tiles from top to bottom. */
INLINE void strip(const int cols, long rows, long depth, Matrix a, const float *b, long b_row,
                  const float *start, long start_row, float *c, long c_row)
{
    for (; rows >= ROWS; rows -= ROWS) {
        tile(ROWS, cols, depth, a, b, b_row, start, start_row, c, c_row);
        a.first += ROWS * a.row;
        start += ROWS * start_row;
        c += ROWS * c_row;
    }
    if (rows == 3)
        tile(3, cols, depth, a, b, b_row, start, start_row, c, c_row);
    else if (rows == 2)
        tile(2, cols, depth, a, b, b_row, start, start_row, c, c_row);
    else if (rows == 1)
        tile(1, cols, depth, a, b, b_row, start, start_row, c, c_row);
}

/* How many of the vectors that are left the next tile takes: no tile of one but for one vector. */
INLINE long tile_cols(long left)
{
    return left == 4 ? 2 : left < COLS ? left : COLS;
}

/* Lay B [depth, cols] out as tiles, each contiguous: what `multiply` reads best. */
static void pack(Matrix b, long depth, long cols, float *out)
{
    for (long j = 0, width; j < cols; j += width) {
        width = tile_cols(padded(cols - j) / WIDTH) * WIDTH;
        for (long i = 0; i < width; i++) {
            const float *from = b.first + (j + i) * b.column;
            for (long k = 0; k < depth; k++)
                out[k * width + i] = j + i < cols ? from[k * b.row] : 0.0f;
        }
        out += depth * width;
    }
}

/* C [rows, cols] = start + A B. B is packed if `b_row` is 0; `start` is one row for all if
 * `start_row` is 0, and may be C. Writes whole vectors. */
static void multiply(long rows, long cols, long depth, Matrix a, const float *b, long b_row,
                     const float *start, long start_row, float *c, long c_row)
{
    for (long j = 0, width; j < cols; j += width) {
        long vectors = tile_cols(padded(cols - j) / WIDTH);
        width = vectors * WIDTH;
        long distance = b_row ? b_row : width;
        if (vectors == 3)
            strip(3, rows, depth, a, b, distance, start + j, start_row, c + j, c_row);
        else if (vectors == 2)
            strip(2, rows, depth, a, b, distance, start + j, start_row, c + j, c_row);
        else
            strip(1, rows, depth, a, b, distance, start + j, start_row, c + j, c_row);
        b += b_row ? width : depth * width;
    }
}

#endif
