/* The largest element under each window over three spatial axes, y (N, C, o...) of x (N, C, i...), and its gradient.
 *
 * `windows` has a row for each spatial axis, in the order in which NumPy's calls combine taps, the outermost first: the
 * axis, its stride, the number of its taps, and for each tap the input that output 0 reads with it. Taps beyond x are no
 * part of a window. `largest` is the number of the first largest tap, in row-major order of the rows of `windows`.
 *
 * As in NumPy's calls, the last axis' maxima are computed first: after NaN no tap is larger. Of 0 and -0 the last one is
 * the maximum, as on x86-64. Gradients are summed over the taps of the first axis first, from the last tap to the first.
 */

#ifndef REAL
#include "kernels.h"

#define MOST_TAPS 64  /* of an axis */
#define MOST_NUMBERS 256
#define TILE 512       /* elements of a row, whose buffers stay in the first-level cache */
#define ROWS 4         /* rows of maxima that following rows of outputs may use again */

/* A spatial axis: for each tap, the first position that uses it, their end, and bytes from a position to what it reads.
 * Positions are outputs or, in the gradient, every stride-th input from a phase on. */
typedef struct {
    int axis, count, stride;
    ptrdiff_t offset[MOST_TAPS]; /* the input that output 0 reads */
    ptrdiff_t from[MOST_TAPS], to[MOST_TAPS], shift[MOST_TAPS];
    int phase[MOST_TAPS], number[MOST_TAPS];
    int complete; /* whether every output has a tap */
} Axis;

/* The taps that a position uses; in the gradient, whether the sum begins with the first of them, else with 0. */
typedef struct {
    int count, copies;
    ptrdiff_t shift[MOST_TAPS];
    int number[MOST_TAPS];
} Used;

/* Contiguous pieces of a row of y: `width` elements (channels) for each position, in tiles of some positions. */
typedef struct {
    int whole; /* whether rows have all channels */
    ptrdiff_t width, positions;
} Tiles;

/* A tap of a row of outputs: bytes from what it would read without, and the outputs that use it. */
typedef struct {
    ptrdiff_t shift, from, to;
} Tap;

#define GK_MAX(a, b) ((a) > (b) ? (a) : (b))

static ptrdiff_t floor_of(ptrdiff_t a, ptrdiff_t b)
{
    return a >= 0 ? a / b : -((b - 1 - a) / b);
}

static int contiguous(const gk_array *a, int axis)
{
    return !a->data || a->shape[axis] == 1 || a->strides[axis] == a->item;
}

/* Whether rows are of positions with all their channels, and not of positions of one channel. */
static int of_channels(const gk_array *x, const gk_array *y, const gk_array *largest)
{
    return x->shape[1] > 1 && contiguous(x, 1) && contiguous(y, 1) && contiguous(largest, 1);
}

static const char *check(const gk_array *x, const gk_array *y, const gk_array *largest, const gk_array *windows)
{
    if (x->ndim != 5 || y->ndim != 5 || x->shape[0] != y->shape[0] || x->shape[1] != y->shape[1])
        return "x and y need equal samples and channels, and three spatial axes";
    for (int k = 0; largest->data && k < 5; k++)
        if (largest->ndim != 5 || largest->shape[k] != y->shape[k])
            return "largest needs the shape of y";
    if (windows->ndim != 2 || windows->shape[0] != 3 || windows->shape[1] < 4)
        return "windows needs a row for each spatial axis";
    int seen = 0, numbers = 1;
    for (int k = 0; k < 3; k++) {
        const int *row = (const int *)windows->data + k * windows->shape[1];
        if (row[0] < 0 || row[0] > 2 || row[1] < 1 || row[2] < 1 || row[2] > MOST_TAPS || row[2] > windows->shape[1] - 3)
            return "a row of windows is an axis, its stride, the number of its taps, at most 64, and their inputs";
        seen |= 1 << row[0];
        numbers *= row[2];
    }
    if (seen != 7 || numbers > MOST_NUMBERS)
        return "windows needs every axis, and at most 256 taps";
    return of_channels(x, y, largest) || (contiguous(y, 4) && contiguous(largest, 4)) ? NULL : "no axis is contiguous";
}

static const char *check_max_pool(const gk_array *a)
{
    return check(a, a + 1, a + 2, a + 3);
}

static const char *check_max_pool_gradient(const gk_array *a)
{
    const char *wrong = check(a + 2, a + 1, a, a + 3);
    for (int k = 0; !wrong && k < 3; k++)
        if (((const int *)a[3].data)[k * a[3].shape[1]] != k)
            wrong = "the gradient needs the axes of windows in their order";
    return wrong;
}

/* Read the axes, from the outermost on. Outputs `o` read from o * stride + offset, `shift` bytes from o * stride. */
static void read_axes(const gk_array *x, const gk_array *y, const gk_array *windows, Axis *axes)
{
    int following = 1;
    for (int k = 2; k >= 0; k--) {
        const int *row = (const int *)windows->data + k * windows->shape[1];
        Axis *axis = axes + k;
        axis->axis = row[0];
        axis->stride = row[1];
        axis->count = row[2];
        const ptrdiff_t size = x->shape[2 + row[0]], out = y->shape[2 + row[0]];
        ptrdiff_t reached = out, found = 0;
        for (int t = 0; t < row[2]; t++) {
            const ptrdiff_t offset = row[3 + t], end = floor_of(size - 1 - offset, row[1]) + 1;
            axis->offset[t] = offset;
            axis->number[t] = t * following;
            axis->from[t] = offset < 0 ? -floor_of(offset, row[1]) : 0;
            axis->to[t] = end < out ? end : out;
            axis->shift[t] = offset * x->strides[2 + row[0]];
            axis->phase[t] = 0;
            found += GK_MAX(0, GK_MIN(reached, axis->to[t]) - axis->from[t]);
            reached = GK_MIN(reached, axis->from[t]);
        }
        axis->complete = found == out;
        following *= row[2];
    }
}

/* The same seen from x: position j of a phase is the input phase + j * stride, which tap t reads for output j + shift. */
static void invert(const gk_array *dx, const gk_array *dy, Axis *axes)
{
    for (Axis *axis = axes; axis < axes + 3; axis++) {
        const ptrdiff_t size = dx->shape[2 + axis->axis], out = dy->shape[2 + axis->axis];
        for (int t = 0; t < axis->count; t++) {
            const ptrdiff_t back = floor_of(axis->offset[t], axis->stride); /* outputs behind positions */
            axis->phase[t] = (int)(axis->offset[t] - back * axis->stride);
            if (axis->from[t] >= axis->to[t])
                axis->phase[t] = -1; /* no output uses it */
            const ptrdiff_t positions = floor_of(size - 1 - axis->phase[t], axis->stride) + 1, end = out + back;
            axis->from[t] = back > 0 ? back : 0;
            axis->to[t] = end < positions ? end : positions;
            axis->shift[t] = -back;
        }
    }
}

/* Find the taps of position `at` of a phase, in reverse for the gradient. */
static void find(const Axis *axis, int phase, ptrdiff_t at, int reverse, Used *used)
{
    int seen = 0;
    used->count = used->copies = 0;
    for (int k = 0; k < axis->count; k++) {
        const int t = reverse ? axis->count - 1 - k : k;
        if (axis->phase[t] != phase)
            continue;
        if (axis->from[t] <= at && at < axis->to[t]) {
            used->copies |= !seen;
            used->shift[used->count] = axis->shift[t];
            used->number[used->count++] = axis->number[t];
        }
        seen = 1;
    }
}

/* The taps of a row of outputs, in the order in which they are combined. */
static int list(const Axis *axes, ptrdiff_t o, ptrdiff_t p, Tap *taps)
{
    int count = 0, t[3];
    for (t[0] = 0; t[0] < axes[0].count; t[0]++)
        for (t[1] = 0; t[1] < axes[1].count; t[1]++)
            for (t[2] = 0; t[2] < axes[2].count; t[2]++) {
                Tap *tap = taps + count++;
                tap->shift = 0;
                for (int k = 0, used = 1; k < 3 && used; k++) {
                    const ptrdiff_t from = axes[k].from[t[k]], to = axes[k].to[t[k]], at = axes[k].axis ? p : o;
                    tap->shift += axes[k].shift[t[k]];
                    if (axes[k].axis == 2) {
                        tap->from = from;
                        tap->to = to;
                    } else if (at < from || to <= at) {
                        used = 0;
                        count--;
                    }
                }
            }
    return count;
}

static Tiles tiles_of(const gk_array *x, const gk_array *y, const gk_array *largest)
{
    Tiles tiles = {of_channels(x, y, largest), 1, TILE};
    if (tiles.whole) {
        const ptrdiff_t c = x->shape[1];
        const int dense = c <= TILE && (y->shape[4] == 1 || y->strides[4] == c * y->item) &&
                          (!largest->data || y->shape[4] == 1 || largest->strides[4] == c);
        tiles.width = GK_MIN(c, TILE);
        tiles.positions = dense ? TILE / c : 1;
    }
    return tiles;
}

/* The number of positions of x from the first tap of a window to the last. */
static ptrdiff_t span(const Axis *axis)
{
    ptrdiff_t first = axis->offset[0], last = first;
    for (int t = 1; t < axis->count; t++) {
        first = GK_MIN(first, axis->offset[t]);
        last = GK_MAX(last, axis->offset[t]);
    }
    return last - first + 1;
}

#define SOURCE "max_pool.c"
#include "each_real.h"

const gk_kernel gk_max_pool = {
    "max_pool", "x~ y!~ largest?!~:B windows:i", check_max_pool, max_pool_float, max_pool_double,
};
const gk_kernel gk_max_pool_gradient = {
    "max_pool_gradient", "largest~:B dy~ dx!~ windows:i", check_max_pool_gradient,
    max_pool_gradient_float, max_pool_gradient_double,
};
#else

/* A tile of a row: its first position and their end, the elements of each, and bytes in x from one position to the next. */
typedef struct {
    ptrdiff_t from, to, width, step;
} NAME(Tile);

/* ACTION(k, t) for the elements k of the positions `low` to `high` of a tile, and the ones t that they read in x. */
#define EACH_TAP(ACTION)                                                                        \
    do {                                                                                        \
        const ptrdiff_t start = (low - tile->from) * tile->width, all = (high - low) * tile->width; \
        const REAL *tap = (const REAL *)(x + low * tile->step);                                 \
        if (tile->step == tile->width * (ptrdiff_t)sizeof(REAL)) {                              \
            GK_INDEPENDENT                                                                      \
            for (ptrdiff_t j = 0; j < all; j++)                                                 \
                ACTION(start + j, tap[j]);                                                      \
        } else if (tile->width == 1 && tile->step == 2 * (ptrdiff_t)sizeof(REAL)) {             \
            GK_INDEPENDENT                                                                      \
            for (ptrdiff_t j = 0; j < all; j++)                                                 \
                ACTION(start + j, tap[2 * j]);                                                  \
        } else {                                                                                \
            for (ptrdiff_t k = start; k < start + all; k += tile->width) {                      \
                if (tile->width % 8 && tile->width > 8) {                                       \
                    for (ptrdiff_t e = 0; e < tile->width; e += 8) { /* some twice */           \
                        const ptrdiff_t first = GK_MIN(e, tile->width - 8);                     \
                        GK_SHORT                                                                \
                        for (int j = 0; j < 8; j++)                                             \
                            ACTION(k + first + j, tap[first + j]);                              \
                    }                                                                           \
                } else {                                                                        \
                    GK_INDEPENDENT                                                              \
                    for (ptrdiff_t j = 0; j < tile->width; j++)                                 \
                        ACTION(k + j, tap[j]);                                                  \
                }                                                                               \
                tap = (const REAL *)((const char *)tap + tile->step);                           \
            }                                                                                   \
        }                                                                                       \
    } while (0)

/* Without branches, also where a loop ends with single elements: what is larger cannot be predicted. */
#define LATER(v, o, n, i) ((i) ^ (((n) ^ (i)) & (0 - (BITS)((v) > (o)))))

#define SET(k, t) m[k] = (t), i[k] = n
#define SET_VALUE(k, t) m[k] = (t)
#define TAKE_VALUE(k, t)               \
    do {                               \
        const REAL v = (t), o = m[k];  \
        m[k] = GK_MORE(o, v);             \
    } while (0)
#define TAKE(k, t)                     \
    do {                               \
        const REAL v = (t), o = m[k];  \
        i[k] = LATER(v, o, n, i[k]);   \
        m[k] = GK_MORE(o, v);             \
    } while (0)

/* The maxima of a tile and their numbers, over the taps of the last axis. */
GK_INLINE void NAME(of_last)(const char *row, const NAME(Tile) *tile, const Axis *last, int number, REAL *m, BITS *i)
{
    ptrdiff_t reached = tile->to; /* where earlier taps begin */
    if (!last->complete)
        for (ptrdiff_t k = 0; k < (tile->to - tile->from) * tile->width; k++)
            m[k] = -(REAL)INFINITY, i[k] = 0;
    for (int c = 0; c < last->count; c++) {
        const ptrdiff_t from = GK_MAX(last->from[c], tile->from), to = GK_MIN(last->to[c], tile->to);
        if (from >= to)
            continue;
        const BITS n = (BITS)(number + last->number[c]);
        const char *x = row + last->shift[c];
        ptrdiff_t low = from, high = GK_MIN(to, reached);
        if (low < high)
            EACH_TAP(SET);
        low = GK_MAX(from, reached);
        high = to;
        if (low < high)
            EACH_TAP(TAKE);
        reached = GK_MIN(reached, from);
    }
}

/* The maxima m with those of later taps, whose numbers are those of `numbers` + n. */
GK_INLINE void NAME(combine)(REAL *m, BITS *i, const REAL *later, const BITS *numbers, int number, ptrdiff_t count)
{
    const BITS n = (BITS)number;
    GK_INDEPENDENT
    for (ptrdiff_t k = 0; k < count; k++) {
        const REAL v = later[k], o = m[k];
        i[k] = LATER(v, o, numbers[k] + n, i[k]);
        m[k] = GK_MORE(o, v);
    }
}

/* Maxima of rows of x over the taps of the last axis, and their numbers. Row k of x has the place k % ROWS. */
typedef struct {
    ptrdiff_t row[ROWS];
    REAL m[ROWS][TILE];
    BITS i[ROWS][TILE];
} NAME(Rows);

/* A tile of a row of outputs with the first largest taps. `at` is its row in bytes of x. Rows are `row_bytes` apart, which is
 * 0 if there is no use in keeping them. */
GK_INLINE void NAME(keep)(const char *x, ptrdiff_t at, const NAME(Tile) *tile, const Axis *last, const Used *used,
                          ptrdiff_t row_bytes, NAME(Rows) *rows, REAL *y, uint8_t *largest)
{
    REAL m[TILE];
    BITS i[2][TILE];
    const ptrdiff_t count = (tile->to - tile->from) * tile->width;
    if (!used[0].count || !used[1].count)
        for (ptrdiff_t k = 0; k < count; k++)
            y[k] = -(REAL)INFINITY, i[0][k] = 0;
    for (int a = 0; a < used[0].count; a++) {
        REAL *of_a = a ? m : y;
        BITS *i_a = i[a ? 1 : 0];
        for (int b = 0; b < used[1].count; b++) {
            const ptrdiff_t of_row = at + used[0].shift[a] + used[1].shift[b];
            const int place = (int)((row_bytes ? of_row / row_bytes : b) & (ROWS - 1));
            const int number = used[0].number[a] + used[1].number[b];
            if (!b && !row_bytes) {
                NAME(of_last)(x + of_row, tile, last, number, of_a, i_a);
                continue;
            }
            if (!row_bytes || rows->row[place] != of_row)
                NAME(of_last)(x + of_row, tile, last, 0, rows->m[place], rows->i[place]);
            rows->row[place] = of_row;
            if (b) {
                NAME(combine)(of_a, i_a, rows->m[place], rows->i[place], number, count);
            } else {
                GK_INDEPENDENT
                for (ptrdiff_t k = 0; k < count; k++) {
                    of_a[k] = rows->m[place][k];
                    i_a[k] = rows->i[place][k] + (BITS)number;
                }
            }
        }
        if (a && used[1].count)
            NAME(combine)(y, i[0], m, i[1], 0, count);
    }
    GK_INDEPENDENT
    for (ptrdiff_t k = 0; k < count; k++)
        largest[k] = (uint8_t)i[0][k];
}

/* A tile of a row of outputs, from the taps of each output in their order. */
GK_INLINE void NAME(maxima)(const char *row, const NAME(Tile) *tile, const Tap *taps, int count, REAL *m)
{
    const int whole = count && taps->from <= tile->from && tile->to <= taps->to;
    for (ptrdiff_t k = 0; !whole && k < (tile->to - tile->from) * tile->width; k++)
        m[k] = -(REAL)INFINITY;
    for (int t = 0; t < count; t++) {
        const ptrdiff_t low = GK_MAX(taps[t].from, tile->from), high = GK_MIN(taps[t].to, tile->to);
        const char *x = row + taps[t].shift;
        if (low >= high)
            continue;
        if (whole && !t)
            EACH_TAP(SET_VALUE);
        else
            EACH_TAP(TAKE_VALUE);
    }
}

/* The same for windows that overlap on the last two axes, with rows of x without gaps: columns' maxima, then theirs. */
GK_INLINE void NAME(maxima_of_columns)(const char *row, const NAME(Tile) *tile, const Axis *last, const Used *used,
                                       ptrdiff_t size, REAL *m)
{
    REAL columns[3 * TILE];
    const ptrdiff_t item = sizeof(REAL), width = tile->width;
    ptrdiff_t first = last->offset[0], end = first;
    for (int t = 1; t < last->count; t++) {
        first = GK_MIN(first, last->offset[t]);
        end = GK_MAX(end, last->offset[t]);
    }
    first = GK_MAX(0, first + tile->from * last->stride);
    end = GK_MIN(size, end + (tile->to - 1) * last->stride + 1);
    for (int b = 0; b < used->count; b++) {
        const REAL *tap = (const REAL *)(row + used->shift[b]) + first * width;
        const ptrdiff_t all = (end - first) * width;
        if (b) {
            GK_INDEPENDENT
            for (ptrdiff_t k = 0; k < all; k++)
                columns[k] = GK_MORE(columns[k], tap[k]);
        } else {
            for (ptrdiff_t k = 0; k < all; k++)
                columns[k] = tap[k];
        }
    }
    Tap taps[MOST_TAPS];
    for (int t = 0; t < last->count; t++)
        taps[t] = (Tap){(last->offset[t] - first) * width * item, last->from[t], last->to[t]};
    const NAME(Tile) in_columns = {tile->from, tile->to, width, last->stride * width * item};
    NAME(maxima)((const char *)columns, &in_columns, taps, used->count ? last->count : 0, m);
}

GK_INLINE void NAME(max_pool_of)(const gk_array *a, const int keeps)
{
    const gk_array *x = a, *y = a + 1, *largest = a + 2;
    const ptrdiff_t *out = y->shape + 2, none[5] = {0}, *xs = x->strides, *ys = y->strides;
    const ptrdiff_t *ls = keeps ? largest->strides : none, item = sizeof(REAL);
    Tiles tiles = tiles_of(x, y, largest);
    const ptrdiff_t channels = tiles.whole ? x->shape[1] : 1, times = x->shape[1] / channels;
    Axis axes[3];
    Used used[2];
    used[0].count = used[1].count = 0;
    Tap taps[MOST_NUMBERS];
    NAME(Rows) rows;
    int of[3] = {0}; /* the row of each axis in `windows` */
    read_axes(x, y, a + 3, axes);
    for (int k = 0; k < 3; k++)
        of[axes[k].axis] = k;
    const ptrdiff_t steps[3] = {axes[of[0]].stride * xs[2], axes[of[1]].stride * xs[3], axes[of[2]].stride * xs[4]};
    const Axis *last = axes + of[2], *rest = axes + of[1];
    const ptrdiff_t extent = span(last), kept = axes[of[0]].count == 1 && rest->stride < rest->count ? xs[3] : 0;
    const int columns = !keeps && of[0] == 0 && of[1] == 2 && axes[0].count == 1 && rest->count > 1 && last->count > 1 &&
                        last->stride < last->count && xs[4] == channels * item && tiles.width == channels &&
                        (tiles.positions * last->stride + extent) * channels <= 3 * TILE;
    for (ptrdiff_t n = 0; n < x->shape[0] * times; n++) {
        const ptrdiff_t s = n / times, c = n % times;
        for (ptrdiff_t o = 0; o < out[0]; o++) {
            if (keeps || columns)
                find(axes + of[0], 0, o, 0, used);
            for (ptrdiff_t q = 0; q < out[2]; q += tiles.positions) {
                for (ptrdiff_t d = 0; d < channels; d += tiles.width) {
                    const ptrdiff_t end = GK_MIN(q + tiles.positions, out[2]), width = GK_MIN(tiles.width, channels - d);
                    const NAME(Tile) tile = {q, end, width, steps[2]};
                    const char *from = (const char *)x->data + s * xs[0] + c * xs[1] + o * steps[0] + d * item;
                    char *to = (char *)y->data + s * ys[0] + c * ys[1] + o * ys[2] + q * ys[4] + d * item;
                    char *number = keeps ? (char *)largest->data + s * ls[0] + c * ls[1] + o * ls[2] + q * ls[4] + d : NULL;
                    for (int k = 0; keeps && k < ROWS; k++)
                        rows.row[k] = PTRDIFF_MIN; /* none */
                    for (ptrdiff_t p = 0; p < out[1]; p++) {
                        REAL *target = (REAL *)(to + p * ys[3]);
                        if (keeps || columns)
                            find(rest, 0, p, 0, used + 1);
                        if (keeps) {
                            NAME(keep)(from, p * steps[1], &tile, last, used, kept, &rows, target,
                                       (uint8_t *)number + p * ls[3]);
                        } else if (columns && used[0].count) {
                            NAME(maxima_of_columns)(from + p * steps[1] + used[0].shift[0], &tile, last, used + 1, x->shape[4],
                                                    target);
                        } else {
                            const int count = list(axes, o, p, taps);
                            NAME(maxima)(from + p * steps[1], &tile, taps, count, target);
                        }
                    }
                }
            }
        }
    }
}

GK_CLONES static void NAME(max_pool)(const gk_array *a)
{
    if (a[2].data)
        NAME(max_pool_of)(a, 1);
    else
        NAME(max_pool_of)(a, 0);
}

/* total = [total +] the gradients of the windows with this tap as their first largest. */
GK_INLINE void NAME(select)(const uint8_t *largest, const REAL *dy, int number, REAL *total, ptrdiff_t count, int adds)
{
    const uint8_t n = (uint8_t)number;
    if (adds) {
        GK_INDEPENDENT
        for (ptrdiff_t k = 0; k < count; k++) {
            const union {
                BITS bits;
                REAL value;
            } part = {((const BITS *)dy)[k] & (0 - (BITS)(largest[k] == n))};
            total[k] = total[k] + part.value;
        }
    } else {
        GK_INDEPENDENT
        for (ptrdiff_t k = 0; k < count; k++)
            ((BITS *)total)[k] = ((const BITS *)dy)[k] & (0 - (BITS)(largest[k] == n));
    }
}

GK_INLINE void NAME(zero)(REAL *total, ptrdiff_t count)
{
    for (ptrdiff_t k = 0; k < count; k++)
        total[k] = 0;
}

GK_INLINE void NAME(add)(REAL *total, const REAL *part, ptrdiff_t count)
{
    GK_INDEPENDENT
    for (ptrdiff_t k = 0; k < count; k++)
        total[k] = total[k] + part[k];
}

/* Elements of dx that read one tap of the last axis: the sum over the others, in `sum`, or added to it. */
GK_INLINE void NAME(sum_taps)(const uint8_t *largest, const REAL *dy, const ptrdiff_t (*steps)[2], const Used *used, int number,
                              REAL *sum, ptrdiff_t count, const int adds)
{
    REAL of_all[TILE], of_b[TILE];
    REAL *total = adds ? of_all : sum;
    const int single = used[0].count == 1 && used[0].copies;
    if (single && used[1].count == 1 && used[1].copies)
        total = sum;
    else if (!used[1].copies)
        NAME(zero)(total, count);
    for (int b = 0; b < used[1].count; b++) {
        const int first = !b && used[1].copies;
        REAL *part = first || single ? total : of_b;
        if (!first && single) {
            /* added to the total at once */
        } else if (!used[0].copies) {
            NAME(zero)(part, count);
        }
        for (int a = 0; a < used[0].count; a++) {
            const ptrdiff_t i = used[0].shift[a] * steps[0][0] + used[1].shift[b] * steps[0][1];
            const ptrdiff_t d = used[0].shift[a] * steps[1][0] + used[1].shift[b] * steps[1][1];
            const int n = number + used[0].number[a] + used[1].number[b];
            const int more = a || !used[0].copies || (single && (!first || (total == sum && adds)));
            NAME(select)(largest + i, (const REAL *)((const char *)dy + d), n, part, count, more);
        }
        if (part == of_b)
            NAME(add)(total, of_b, count);
    }
    if (total != sum)
        NAME(add)(sum, total, count);
}

/* Positions that are `step` bytes apart in dx, from `sum`. */
GK_INLINE void NAME(scatter)(const REAL *sum, char *dx, ptrdiff_t step, ptrdiff_t width, ptrdiff_t count)
{
    if (width == 1) {
        for (ptrdiff_t j = 0; j < count; j++)
            *(REAL *)(dx + j * step) = sum[j];
        return;
    }
    for (ptrdiff_t j = 0; j < count; j++) {
        REAL *element = (REAL *)(dx + j * step);
        GK_INDEPENDENT
        for (ptrdiff_t k = 0; k < width; k++)
            element[k] = sum[j * width + k];
    }
}

GK_CLONES static void NAME(max_pool_gradient)(const gk_array *a)
{
    const gk_array *largest = a, *dy = a + 1, *dx = a + 2;
    const ptrdiff_t *ls = largest->strides, *ds = dy->strides, *xs = dx->strides, *size = dx->shape + 2;
    const Tiles tiles = tiles_of(dx, dy, largest);
    const ptrdiff_t channels = tiles.whole ? dx->shape[1] : 1, times = dx->shape[1] / channels, item = sizeof(REAL);
    const ptrdiff_t steps[2][2] = {{ls[2], ls[3]}, {ds[2], ds[3]}};
    Axis axes[3];
    Used used[2];
    REAL buffer[TILE];
    read_axes(dx, dy, a + 3, axes);
    invert(dx, dy, axes);
    const Axis *last = axes + 2;
    for (ptrdiff_t n = 0; n < dx->shape[0] * times; n++) {
        const ptrdiff_t s = n / times, c = n % times;
        for (ptrdiff_t o = 0; o < size[0]; o++) {
            const ptrdiff_t at_o = o / axes[0].stride;
            find(axes, (int)(o % axes[0].stride), at_o, 1, used);
            for (ptrdiff_t p = 0; p < size[1]; p++) {
                const ptrdiff_t at_p = p / axes[1].stride;
                find(axes + 1, (int)(p % axes[1].stride), at_p, 1, used + 1);
                const char *number = (const char *)largest->data + s * ls[0] + c * ls[1] + at_o * ls[2] + at_p * ls[3];
                const char *from = (const char *)dy->data + s * ds[0] + c * ds[1] + at_o * ds[2] + at_p * ds[3];
                char *to = (char *)dx->data + s * xs[0] + c * xs[1] + o * xs[2] + p * xs[3];
                for (ptrdiff_t phase = 0; phase < GK_MIN(last->stride, size[2]); phase++) {
                    const ptrdiff_t end = (size[2] - 1 - phase) / last->stride + 1, step = last->stride * xs[4];
                    for (ptrdiff_t q = 0; q < end; q += tiles.positions) {
                        for (ptrdiff_t d = 0; d < channels; d += tiles.width) {
                            const ptrdiff_t stop = GK_MIN(q + tiles.positions, end), width = GK_MIN(tiles.width, channels - d);
                            char *target = to + phase * xs[4] + q * step + d * item;
                            REAL *sum = step == width * item || stop == q + 1 ? (REAL *)target : buffer;
                            int adds = 0;
                            for (int t = last->count - 1; t >= 0; t--) {
                                if (last->phase[t] != phase)
                                    continue;
                                const ptrdiff_t low = GK_MAX(last->from[t], q), high = GK_MIN(last->to[t], stop);
                                if (!adds && (low != q || high != stop))
                                    NAME(zero)(sum, (stop - q) * width);
                                if (low < high)
                                    NAME(sum_taps)((const uint8_t *)number + (low + last->shift[t]) * ls[4] + d,
                                                   (const REAL *)(from + (low + last->shift[t]) * ds[4]) + d, steps, used,
                                                   last->number[t], sum + (low - q) * width, (high - low) * width, adds);
                                adds = 1;
                            }
                            if (!adds)
                                NAME(zero)(sum, (stop - q) * width);
                            if (sum == buffer)
                                NAME(scatter)(sum, target, step, width, stop - q);
                        }
                    }
                }
            }
        }
    }
}
#endif
