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
#define SHORT_ROW 8192 /* bytes of a row of outputs: up to here it pays to compute four at once (measured) */

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

/* Compilers keep sums of eight in registers, but not those of more; where functions have many, only as vectors. */
#define EIGHT(STATEMENT)             \
    for (int j = 0; j < 8; j++)      \
        STATEMENT
#if defined(__GNUC__)
#define VECTOR(REAL) REAL __attribute__((vector_size(8 * sizeof(REAL)), aligned(sizeof(REAL)), may_alias))
#define LOAD(p) (*(const NAME(vector) *)(p))
#define PRODUCT(to, p, q) to = LOAD(p) * LOAD(q)
#define ADD_PRODUCT(to, p, q) to = to + LOAD(p) * LOAD(q)
#define STORE(p, from) *(NAME(vector) *)(p) = from
#define ADD_TO(p, from) *(NAME(vector) *)(p) = LOAD(p) + from
#else
#define VECTOR(REAL) struct { REAL j[8]; }
#define PRODUCT(to, p, q) EIGHT(to.j[j] = (p)[j] * (q)[j];)
#define ADD_PRODUCT(to, p, q) EIGHT(to.j[j] = to.j[j] + (p)[j] * (q)[j];)
#define STORE(p, from) EIGHT((p)[j] = from.j[j];)
#define ADD_TO(p, from) EIGHT((p)[j] = (p)[j] + from.j[j];)
#endif

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

typedef VECTOR(REAL) NAME(vector);

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

/* The same, 8n channels, for four outputs in a row, `step` bytes of x and `width` of y apart: each tap's weights are loaded once. */
GK_INLINE void NAME(sum_taps_of_four)(REAL *y, const char *const *x, const REAL *const *w, int count, int whole,
                                      ptrdiff_t shift, ptrdiff_t c, const int n, ptrdiff_t step, ptrdiff_t width)
{
    NAME(vector) p0 = {0}, p1 = {0}, p2 = {0}, p3 = {0}, q0 = {0}, q1 = {0}, q2 = {0}, q3 = {0};
#define COLUMN(DO, p, q, i)                                             \
    {                                                                   \
        const REAL *v = (const REAL *)(x[t] + (shift + (i) * step)) + c; \
        DO(p, v, u);                                                    \
        if (n == 2)                                                     \
            DO(q, v + 8, u + 8);                                        \
    }
#define TAP(DO)                      \
    {                                \
        const REAL *u = w[t] + c;    \
        COLUMN(DO, p0, q0, 0)        \
        COLUMN(DO, p1, q1, 1)        \
        COLUMN(DO, p2, q2, 2)        \
        COLUMN(DO, p3, q3, 3)        \
    }
    int t = 0;
    if (whole) {
        TAP(PRODUCT)
        t = 1;
    }
    for (; t < count; t++)
        TAP(ADD_PRODUCT)
#undef COLUMN
#undef TAP
#define OUTPUT(p, q, i)                                       \
    {                                                         \
        REAL *r = (REAL *)((char *)y + (i) * width) + c;      \
        STORE(r, p);                                          \
        if (n == 2)                                           \
            STORE(r + 8, q);                                  \
    }
    OUTPUT(p0, q0, 0)
    OUTPUT(p1, q1, 1)
    OUTPUT(p2, q2, 2)
    OUTPUT(p3, q3, 3)
#undef OUTPUT
}

GK_CLONES static void NAME(depthwise)(const gk_array *a)
{
    const gk_array *y = a + 2;
    const int last = y->ndim - 2, *tap = a[4].data;
    const ptrdiff_t channels = y->shape[last + 1], step = ((const int *)a[3].data)[last] * a[0].strides[last];
    const ptrdiff_t width = y->strides[last];
    const int short_rows = y->shape[last] * channels * (ptrdiff_t)sizeof(REAL) <= SHORT_ROW;
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
            ptrdiff_t i = o;
            for (; short_rows && i + 4 <= end; i += 4) {
                char *target = (char *)y->data + offset + i * width;
#define PIECE(n)                                                                                                    \
    if (n == 0)                                                                                                     \
        for (int k = 0; k < 4; k++)                                                                                 \
            NAME(sum_taps)((REAL *)(target + k * width), x, w, count, whole, (i - o + k) * step, c, 0);             \
    else                                                                                                            \
        NAME(sum_taps_of_four)((REAL *)target, x, w, count, whole, (i - o) * step, c, n, step, width)
                EACH_PIECE(channels, 2, PIECE)
#undef PIECE
            }
            for (; i < end; i++) {
                REAL *target = (REAL *)((char *)y->data + offset + i * width);
#define PIECE(n) NAME(sum_taps)(target, x, w, count, whole, (i - o) * step, c, n)
                EACH_PIECE(channels, 4, PIECE)
#undef PIECE
            }
        }
    }
}

/* Add a row's products, summed column by column, to the sums of 8n channels, or one: of one tap, or of 3 or 5 in turn. */
GK_INLINE void NAME(sum_columns)(REAL *sums, const Row *row, int t, const int taps, const gk_array *a, const char *dy,
                                 ptrdiff_t c, const int n)
{
    const int last = a[2].ndim - 2;
    const ptrdiff_t step = ((const int *)a[3].data)[last] * a[0].strides[last], channels = a[2].shape[last + 1];
    const ptrdiff_t width = a[2].strides[last];
    const REAL *x = (const REAL *)a[0].data + c, *g0 = (const REAL *)dy + c;
    NAME(vector) p0 = {0}, p1 = {0}, p2 = {0}, p3 = {0}, p4 = {0}, q0 = {0}, q1 = {0}, q2 = {0}, q3 = {0}, q4 = {0};
    REAL s0 = 0, s1 = 0, s2 = 0, s3 = 0, s4 = 0;
    int first = row->from[t], end = row->to[t], from = first, to = end; /* of any tap; of all */
    for (int k = t + 1; k < t + taps; k++) {
        first = GK_MIN(first, row->from[k]);
        from = row->from[k] > from ? row->from[k] : from;
        end = row->to[k] > end ? row->to[k] : end;
        to = GK_MIN(to, row->to[k]);
    }
    if (from >= to)
        from = to = end;
#define EACH_TAP(DO)        \
    DO(0, s0, p0, q0)       \
    if (taps >= 3) {        \
        DO(1, s1, p1, q1)   \
        DO(2, s2, p2, q2)   \
    }                       \
    if (taps == 5) {        \
        DO(3, s3, p3, q3)   \
        DO(4, s4, p4, q4)   \
    }
#define COLUMN(k, s, p, q)                                                                 \
    {                                                                                      \
        const REAL *v = (const REAL *)((const char *)x + (row->offset[t + k] + o * step)); \
        if (n == 0)                                                                        \
            s = s + v[0] * g[0];                                                           \
        if (n >= 1)                                                                        \
            ADD_PRODUCT(p, v, g);                                                          \
        if (n == 2)                                                                        \
            ADD_PRODUCT(q, v + 8, g + 8);                                                  \
    }
#define COLUMN_IF(k, s, p, q) if (row->from[t + k] <= o && o < row->to[t + k]) COLUMN(k, s, p, q)
#define COLUMNS(begin, stop, DO)                                      \
    for (ptrdiff_t o = begin; o < stop; o++) {                        \
        const REAL *g = (const REAL *)((const char *)g0 + o * width); \
        EACH_TAP(DO)                                                  \
    }
    COLUMNS(first, from, COLUMN_IF)
    COLUMNS(from, to, COLUMN)
    COLUMNS(to, end, COLUMN_IF)
#define TOTAL(k, s, p, q)                                 \
    {                                                     \
        REAL *r = sums + row->number[t + k] * channels + c; \
        if (n == 0)                                       \
            r[0] = r[0] + s;                              \
        if (n >= 1)                                       \
            ADD_TO(r, p);                                 \
        if (n == 2)                                       \
            ADD_TO(r + 8, q);                             \
    }
    EACH_TAP(TOTAL)
#undef EACH_TAP
#undef COLUMN
#undef COLUMN_IF
#undef COLUMNS
#undef TOTAL
}

/* The sums of a row of outputs: five or three taps read its columns together. */
GK_INLINE void NAME(sum_row)(REAL *sums, const Row *row, const gk_array *a, const char *dy, ptrdiff_t c, const int n)
{
    for (int t = 0; t < row->count;) {
        const int left = row->count - t;
        if (left >= 5 && left != 6 && left != 9) {
            NAME(sum_columns)(sums, row, t, 5, a, dy, c, n);
            t += 5;
        } else if (left >= 3) {
            NAME(sum_columns)(sums, row, t, 3, a, dy, c, n);
            t += 3;
        } else {
            NAME(sum_columns)(sums, row, t, 1, a, dy, c, n);
            t += 1;
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
