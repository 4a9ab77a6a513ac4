/* Depthwise correlation with channels last, y[o] = sum of x[o step + offset] w over the taps, and the gradient of w.
 *
 * `taps` has a row for each tap that reads any input, in the order in which they are added: its number in w, then for each
 * axis the first output that uses it, the end of these outputs, and the input that the first of them reads. A channel is
 * summed on its own, so the order of its sum does not depend on the width of vectors.
 */

#ifndef REAL
#include "kernels.h"

#define MOST_TAPS 256
#define MOST_AXES 5

/* The taps that a row of outputs uses: where each reads for column 0, its row in w, and the columns that use it. */
typedef struct {
    int count;
    ptrdiff_t offset[MOST_TAPS];
    ptrdiff_t number[MOST_TAPS];
    int from[MOST_TAPS], to[MOST_TAPS];
} Row;

/* Whether the operands x, weights or sums, y, steps and taps belong together. */
static const char *check(const gk_array *a)
{
    const gk_array *x = a, *w = a + 1, *y = a + 2, *steps = a + 3, *taps = a + 4;
    const int axes = y->ndim - 1;
    if (axes < 1 || axes > MOST_AXES || x->ndim != y->ndim || steps->size != axes)
        return "x, y and steps differ in their axes";
    if (taps->ndim != 2 || taps->shape[1] != 1 + 3 * axes || taps->shape[0] > MOST_TAPS)
        return "a row of taps has a number and three columns for each axis; there are at most 256";
    if (w->ndim != 3 || w->shape[2] != y->shape[axes] || x->shape[axes] != y->shape[axes])
        return "the operands differ in their channels";
    if (y->shape[axes] > 1 && (x->strides[axes] != x->item || y->strides[axes] != y->item))
        return "channels are not contiguous";
    const int *row = taps->data;
    for (ptrdiff_t t = 0; t < taps->shape[0]; t++) {
        if (*row < 0 || *row++ >= w->shape[0])
            return "there is no such tap";
        for (int k = 0; k < axes; k++, row += 3) {
            const ptrdiff_t last = row[2] + (ptrdiff_t)(row[1] - 1 - row[0]) * ((const int *)steps->data)[k];
            if (row[0] < 0 || row[1] <= row[0] || row[1] > y->shape[k] || row[2] < 0 || last < 0 || last >= x->shape[k])
                return "a tap reads what is not there";
        }
    }
    return NULL;
}

/* Find the taps of the row of outputs at `at`, the position on all axes but the last. */
static void find(const gk_array *a, const ptrdiff_t *at, Row *row)
{
    const gk_array *x = a;
    const int *steps = a[3].data, *tap = a[4].data, last = a[2].ndim - 2;
    row->count = 0;
    for (ptrdiff_t t = 0; t < a[4].shape[0]; t++, tap += 4 + 3 * last) {
        ptrdiff_t offset = 0;
        int k = 0;
        for (const int *axis = tap + 1; k < last && axis[0] <= at[k] && at[k] < axis[1]; k++, axis += 3)
            offset += (axis[2] + (at[k] - axis[0]) * steps[k]) * x->strides[k];
        if (k < last)
            continue;
        const int *axis = tap + 1 + 3 * last, n = row->count++;
        row->offset[n] = offset + (axis[2] - (ptrdiff_t)axis[0] * steps[last]) * x->strides[last];
        row->number[n] = *tap;
        row->from[n] = axis[0];
        row->to[n] = axis[1];
    }
}

/* Go to the next row of y; return its offset in bytes, or -1 after the last one. */
static ptrdiff_t next(const gk_array *y, ptrdiff_t *at)
{
    ptrdiff_t offset = 0;
    int k = y->ndim - 3;
    while (k >= 0 && ++at[k] == y->shape[k])
        at[k--] = 0;
    if (k < 0)
        return -1;
    for (k = 0; k < y->ndim - 2; k++)
        offset += at[k] * y->strides[k];
    return offset;
}

/* Compilers keep sums of eight in registers, but not those of more. */
#define EIGHT(STATEMENT)             \
    for (int j = 0; j < 8; j++)      \
        STATEMENT

/* The channels in pieces: PIECE(n) for n of them from c. */
#define EACH_PIECE(count, most, PIECE)           \
    for (ptrdiff_t c = 0; c < (count);) {        \
        if (most == 4 && (count)-c >= 32) {      \
            PIECE(4);                            \
            c += 32;                             \
        } else if (most >= 2 && (count)-c >= 16) {           \
            PIECE(2);                            \
            c += 16;                             \
        } else if ((count)-c >= 8) {             \
            PIECE(1);                            \
            c += 8;                              \
        } else {                                 \
            PIECE(0);                            \
            c += 1;                              \
        }                                        \
    }

#define SOURCE "depthwise.c"
#include "each_real.h"

const gk_kernel gk_depthwise = {
    "depthwise", "x~ weights y!~ steps:i taps:i", check, depthwise_float, depthwise_double,
};
const gk_kernel gk_depthwise_gradient = {
    "depthwise_gradient", "x~ sums! dy~ steps:i taps:i", check, depthwise_gradient_float, depthwise_gradient_double,
};
#else

/* 8n channels of an output, or one. With `whole` the first tap's product begins the sum, else 0 does. */
GK_INLINE void NAME(sum_taps)(REAL *y, const char *const *x, const REAL *const *w, int count, int whole, ptrdiff_t shift,
                              ptrdiff_t c, const int n)
{
    REAL first[8] = {0}, second[8] = {0}, third[8] = {0}, fourth[8] = {0};
#define TAP(OP)                                                           \
    const REAL *p = (const REAL *)(x[t] + shift) + c, *q = w[t] + c;      \
    if (n == 0)                                                           \
        first[0] = OP(first[0], p[0] * q[0]);                             \
    if (n >= 1)                                                           \
        EIGHT(first[j] = OP(first[j], p[j] * q[j]);)                      \
    if (n >= 2)                                                           \
        EIGHT(second[j] = OP(second[j], p[j + 8] * q[j + 8]);)            \
    if (n >= 4)                                                           \
        EIGHT(third[j] = OP(third[j], p[j + 16] * q[j + 16]);)            \
    if (n >= 4)                                                           \
        EIGHT(fourth[j] = OP(fourth[j], p[j + 24] * q[j + 24]);)
#define SET(sum, term) (term)
#define ADD(sum, term) ((sum) + (term))
    int t = 0;
    if (whole) {
        TAP(SET)
        t = 1;
    }
    for (; t < count; t++) {
        TAP(ADD)
    }
#undef TAP
#undef SET
#undef ADD
    y += c;
    if (n == 0)
        y[0] = first[0];
    if (n >= 1)
        EIGHT(y[j] = first[j];)
    if (n >= 2)
        EIGHT(y[j + 8] = second[j];)
    if (n >= 4)
        EIGHT(y[j + 16] = third[j];)
    if (n >= 4)
        EIGHT(y[j + 24] = fourth[j];)
}

GK_CLONES static void NAME(depthwise)(const gk_array *a)
{
    const gk_array *y = a + 2;
    const int last = y->ndim - 2, *tap = a[4].data;
    const ptrdiff_t channels = y->shape[last + 1], step = ((const int *)a[3].data)[last] * a[0].strides[last];
    int whole = a[4].shape[0] > 0;
    for (int k = 0; whole && k <= last; k++)
        whole = tap[1 + 3 * k] == 0 && tap[2 + 3 * k] == y->shape[k];
    if (!y->size)
        return;
    ptrdiff_t at[MOST_AXES] = {0};
    Row row;
    for (ptrdiff_t offset = 0; offset >= 0; offset = next(y, at)) {
        find(a, at, &row);
        for (ptrdiff_t o = 0, end; o < y->shape[last]; o = end) {
            const char *x[MOST_TAPS];
            const REAL *w[MOST_TAPS];
            int count = 0;
            end = y->shape[last];
            for (int t = 0; t < row.count; t++) {
                if (row.to[t] <= o)
                    continue;
                const ptrdiff_t limit = row.from[t] > o ? row.from[t] : row.to[t];
                if (row.from[t] <= o) {
                    x[count] = (const char *)a[0].data + (row.offset[t] + o * step);
                    w[count++] = (const REAL *)a[1].data + row.number[t] * a[1].shape[1] * channels;
                }
                end = GK_MIN(end, limit);
            }
            for (ptrdiff_t i = o; i < end; i++) {
                REAL *target = (REAL *)((char *)y->data + offset + i * y->strides[last]);
#define PIECE(n) NAME(sum_taps)(target, x, w, count, whole, (i - o) * step, c, n)
                EACH_PIECE(channels, 4, PIECE)
#undef PIECE
            }
        }
    }
}

/* Add the products of columns `from` to `to` to the sums of 8n channels, or one: of one tap or of three in turn. */
GK_INLINE void NAME(sum_columns)(REAL *sums, const Row *row, int t, const int taps, const gk_array *a, const char *dy,
                                 ptrdiff_t from, ptrdiff_t to, ptrdiff_t c, const int n)
{
    const int last = a[2].ndim - 2;
    const ptrdiff_t step = ((const int *)a[3].data)[last] * a[0].strides[last], channels = a[2].shape[last + 1];
    const ptrdiff_t shift = c * (ptrdiff_t)sizeof(REAL), width = a[2].strides[last];
    const ptrdiff_t at_p = row->offset[t] + shift, at_q = taps == 3 ? row->offset[t + 1] + shift : 0;
    const ptrdiff_t at_r = taps == 3 ? row->offset[t + 2] + shift : 0;
    const char *x = a[0].data;
    REAL p[8] = {0}, q[8] = {0}, r[8] = {0}, p2[8] = {0}, q2[8] = {0}, r2[8] = {0}, old[8];
#define COLUMN(sum, at, from)                                                    \
    {                                                                            \
        const REAL *v = (const REAL *)(x + (at + o * step)) + from, *w = g + from; \
        if (n == 0)                                                              \
            sum[0] = sum[0] + v[0] * w[0];                                       \
        else                                                                     \
            EIGHT(sum[j] = sum[j] + v[j] * w[j];)                                \
    }
    for (ptrdiff_t o = from; o < to; o++) {
        const REAL *g = (const REAL *)(dy + (shift + o * width));
        COLUMN(p, at_p, 0)
        if (taps == 3) {
            COLUMN(q, at_q, 0)
            COLUMN(r, at_r, 0)
        }
        if (n == 2)
            COLUMN(p2, at_p, 8)
        if (n == 2 && taps == 3) {
            COLUMN(q2, at_q, 8)
            COLUMN(r2, at_r, 8)
        }
    }
#undef COLUMN
#define TOTAL(low, high, number)                     \
    {                                                \
        REAL *s = sums + (number)*channels + c;      \
        if (n == 0) {                                \
            s[0] = s[0] + low[0];                    \
        } else {                                     \
            EIGHT(old[j] = s[j];)                    \
            EIGHT(s[j] = old[j] + low[j];)           \
        }                                            \
        if (n == 2) {                                \
            EIGHT(old[j] = s[j + 8];)                \
            EIGHT(s[j + 8] = old[j] + high[j];)      \
        }                                            \
    }
    TOTAL(p, p2, row->number[t])
    if (taps == 3) {
        TOTAL(q, q2, row->number[t + 1])
        TOTAL(r, r2, row->number[t + 2])
    }
#undef TOTAL
}

/* The sums of a row of outputs: three taps read the columns that they share together. */
GK_INLINE void NAME(sum_row)(REAL *sums, const Row *row, const gk_array *a, const char *dy, ptrdiff_t c, const int n)
{
    for (int t = 0; t < row->count; t += 3) {
        const int taps = GK_MIN(3, row->count - t);
        ptrdiff_t from = 0, to = taps < 3 ? 0 : a[2].shape[a[2].ndim - 2];
        for (int k = t; k < t + taps; k++) {
            from = row->from[k] > from ? row->from[k] : from;
            to = GK_MIN(to, row->to[k]);
        }
        const int shared = from < to;
        if (shared)
            NAME(sum_columns)(sums, row, t, 3, a, dy, from, to, c, n);
        for (int k = t; k < t + taps; k++) {
            const ptrdiff_t end = shared ? from : row->to[k];
            if (row->from[k] < end)
                NAME(sum_columns)(sums, row, k, 1, a, dy, row->from[k], end, c, n);
            if (shared && to < row->to[k])
                NAME(sum_columns)(sums, row, k, 1, a, dy, to, row->to[k], c, n);
        }
    }
}

/* A sum for each row of outputs, added to that of the rows before it. */
GK_CLONES static void NAME(depthwise_gradient)(const gk_array *a)
{
    const gk_array *dy = a + 2;
    const ptrdiff_t channels = dy->shape[dy->ndim - 1];
    REAL *sums = a[1].data;
    for (ptrdiff_t i = 0; i < a[1].size; i++)
        sums[i] = 0;
    if (!dy->size)
        return;
    ptrdiff_t at[MOST_AXES] = {0};
    Row row;
    for (ptrdiff_t offset = 0; offset >= 0; offset = next(dy, at)) {
        find(a, at, &row);
#define PIECE(n) NAME(sum_row)(sums, &row, a, (const char *)dy->data + offset, c, n)
        EACH_PIECE(channels, 2, PIECE)
#undef PIECE
    }
}
#endif
