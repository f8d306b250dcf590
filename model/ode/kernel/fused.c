/* A perceptron's differential equation on a fixed grid, solved and differentiated in one call.
 *
 * Blocks of samples are independent: threads take them in turn, and each answer is the same bits
 * whatever the block, the batch or the number of threads. Gradients of parameters are summed over a
 * number of parts that depends on the batch alone, and then in order.
 */

#include <pthread.h>

#include "walk_back.h"

#define BLOCK_ROWS 32 /* a block's activations stay in the first cache, its tape in the second */
#define MAX_PARTS 16
#define MAX_THREADS 64

/* What all threads share. A part is a range of blocks with one sum of gradients. */
typedef struct {
    const Solve *solve;
    const Net *net;
    long blocks, parts, next_part, gradient_size;
    float *gradients; /* [part, gradient_size]; NULL for the way forward */
    int failed;
} Work;

static NetGradient lay_out_gradient(const Net *net, float *memory)
{
    NetGradient total;
    for (long l = 0; l < net->num_layers; l++) {
        total.weight[l] = take(&memory, net->width[l] * padded(net->width[l + 1]));
        total.bias[l] = take(&memory, net->width[l + 1]);
    }
    total.gain = take(&memory, net->stride[0]);
    total.decay = take(&memory, net->stride[0]);
    return total;
}

static long gradient_size(const Net *net)
{
    long size = 2 * net->stride[0];
    for (long l = 0; l < net->num_layers; l++)
        size += (net->width[l] + 1) * padded(net->width[l + 1]);
    return size;
}

static void do_block(const Work *work, long index, float *memory, NetGradient *total)
{
    const Solve *solve = work->solve;
    const Net *net = work->net;
    long first = index * BLOCK_ROWS, rows = least(BLOCK_ROWS, solve->samples - first);
    Block block = {solve, net, first, rows, NULL, NULL};
    block.derivatives = take(&memory, solve->stages * rows * net->stride[0]);
    if (solve->tape)
        block.tape = solve->tape + first * (solve->steps * solve->stages + 1) * tape_width(net);
    else
        block.tape = take(&memory, solve->stages * rows * tape_width(net));
    if (!total) {
        walk(&block);
        return;
    }
    BackScratch scratch = {.total = total};
    lay_out(&scratch, solve, net, rows, memory);
    walk_back(&block, &scratch);
}

static void *take_parts(void *argument)
{
    Work *work = argument;
    const Solve *solve = work->solve;
    long rows = least(BLOCK_ROWS, solve->samples);
    long size = solve->stages * rows * (tape_width(work->net) + work->net->stride[0]);
    float *memory = allocate(size + (work->gradients ? back_scratch_size(solve, work->net, rows) : 0));
    if (!memory) {
        __atomic_store_n(&work->failed, 1, __ATOMIC_RELAXED);
        return NULL;
    }
    for (long part; (part = __atomic_fetch_add(&work->next_part, 1, __ATOMIC_RELAXED)) < work->parts;) {
        NetGradient total;
        if (work->gradients)
            total = lay_out_gradient(work->net, work->gradients + part * work->gradient_size);
        for (long i = part * work->blocks / work->parts; i < (part + 1) * work->blocks / work->parts; i++)
            do_block(work, i, memory, work->gradients ? &total : NULL);
    }
    free(memory);
    return NULL;
}

/* The caller is one of the threads; one that cannot be started leaves its share to the others. */
static int run(Work *work)
{
    pthread_t threads[MAX_THREADS];
    long wanted = least(least(work->solve->threads, work->parts), MAX_THREADS) - 1, started = 0;
    while (started < wanted && !pthread_create(&threads[started], NULL, take_parts, work))
        started++;
    take_parts(work);
    for (long i = 0; i < started; i++)
        pthread_join(threads[i], NULL);
    return !work->failed;
}

static void add(const float *from, long count, float *to)
{
    for (long i = 0; i < count; i++)
        to[i] += from[i];
}

/* Sum the parts in order, and lay the weights' gradients out as the caller keeps them. */
static void collect(const Work *work)
{
    const Solve *solve = work->solve;
    const Net *net = work->net;
    for (long part = 1; part < work->parts; part++)
        add(work->gradients + part * work->gradient_size, work->gradient_size, work->gradients);
    NetGradient total = lay_out_gradient(net, work->gradients);
    for (long l = 0; l < net->num_layers && solve->g_weights; l++) {
        long in = net->width[l], out = net->width[l + 1];
        for (long i = 0; i < out; i++)
            for (long k = 0; k < in; k++)
                solve->g_weights[l][i * in + k] = total.weight[l][k * padded(out) + i];
        memcpy(solve->g_biases[l], total.bias[l], out * sizeof(float));
    }
    memcpy(solve->g_gain, total.gain, net->state * sizeof(float));
    memcpy(solve->g_decay, total.decay, net->state * sizeof(float));
}

long fused_width(void) { return WIDTH; }

/* Set `knots`, `slopes`, `ys` and, if given, `tape`. Returns 0 if there was no memory. */
long fused_solve(const Solve *solve)
{
    Net net;
    long blocks = (solve->samples + BLOCK_ROWS - 1) / BLOCK_ROWS;
    Work work = {solve, &net, blocks, blocks, 0, 0, NULL, 0};
    int done = prepare(&net, &solve->field) && run(&work);
    free(net.memory);
    return done;
}

/* Set every `g_`, from `g_ys` and what `fused_solve` left. Returns 0 if there was no memory. */
long fused_gradient(const Solve *solve)
{
    Net net;
    long blocks = (solve->samples + BLOCK_ROWS - 1) / BLOCK_ROWS, parts = least(blocks, MAX_PARTS);
    Work work = {solve, &net, blocks, parts, 0, 0, NULL, 0};
    int done = prepare(&net, &solve->field);
    work.gradient_size = gradient_size(&net);
    size_t size = (size_t)work.gradient_size * (parts ? parts : 1);
    work.gradients = done ? allocate(size) : NULL;
    done = work.gradients != NULL;
    if (done) {
        memset(work.gradients, 0, size * sizeof(float));
        done = run(&work);
    }
    if (done)
        collect(&work);
    free(work.gradients);
    free(net.memory);
    return done;
}
