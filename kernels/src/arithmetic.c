/* NumPy's arithmetic on small arrays of any strides, operands broadcast to the result: `+ - * /` are rounded correctly
 * everywhere, so the bits are NumPy's. Of large arrays a call takes too small a part to matter, but each short row does to which an
 * operand is broadcast: NumPy starts its loop anew. */

#ifndef REAL
#include <string.h>

#include "kernels.h"

enum { LARGEST = 1 << 14, SHORT = 256, AXES = 8, TILE = 16, PAGE = 4096, MANY = 1 << 18 };

/* The strides of an operand along the axes of the result: 0 where it is broadcast. */
static void broadcast(const gk_array *x, const gk_array *result, ptrdiff_t *strides)
{
    const int missing = result->ndim - x->ndim;
    for (int axis = 0; axis < result->ndim; axis++)
        strides[axis] = axis < missing || x->shape[axis - missing] == 1 ? 0 : x->strides[axis - missing];
}

/* The axis of the result with the shortest stride, whose elements an inner loop visits. */
static int innermost(const gk_array *result)
{
    int found = result->ndim - 1;
    for (int axis = result->ndim - 1; axis >= 0; axis--)
        if (result->shape[axis] > 1 && (result->shape[found] < 2 || result->strides[axis] < result->strides[found]))
            found = axis;
    return found;
}

static int serves_small(const gk_array *result, const gk_array *operands, int count)
{
    int by_row = 0;
    if (result->ndim > AXES)
        return 0;
    for (int k = 0; k < count; k++) {
        const int missing = result->ndim - operands[k].ndim;
        if (missing < 0)
            return 0;
        for (int axis = 0; axis < operands[k].ndim; axis++)
            if (operands[k].shape[axis] != 1 && operands[k].shape[axis] != result->shape[axis + missing])
                return 0;
        by_row |= operands[k].size > 1 && operands[k].size < result->size;
    }
    return result->size <= LARGEST || (by_row && result->shape[innermost(result)] <= SHORT);
}

static int serves_two(const gk_array *a)
{
    return serves_small(&a[2], a, 2);
}

static int serves_one(const gk_array *a)
{
    return serves_small(&a[1], a, 1);
}

/* Whether a copy is a transposition that tiles make quicker: elements are adjacent along `first` in the result and along `second`
 * in x, and lines of the cache that lie pages apart would displace each other, or there are many. */
static int transposes(const gk_array *x, const gk_array *result, int *first, int *second)
{
    *first = *second = -1;
    if (x->ndim != result->ndim || result->ndim > AXES)
        return 0;
    for (int axis = 0; axis < result->ndim; axis++) {
        if (x->shape[axis] != result->shape[axis] || !result->shape[axis])
            return 0;
        if (result->shape[axis] >= TILE && result->strides[axis] == result->item)
            *first = axis;
        if (result->shape[axis] >= TILE && x->strides[axis] == x->item)
            *second = axis;
    }
    if (*first < 0 || *second < 0 || *first == *second)
        return 0;
    return result->size > MANY || x->strides[*first] % PAGE == 0 || result->strides[*second] % PAGE == 0;
}

static int serves_copy(const gk_array *a)
{
    int first, second;
    return serves_one(a) || transposes(&a[0], &a[1], &first, &second);
}

#define SOURCE "arithmetic.c"
#include "each_real.h"

#define KERNEL(name, operands, serves) const gk_kernel gk_##name = {#name, operands, NULL, name##_float, name##_double, serves};
KERNEL(add, "x~ y~ result!~", serves_two)
KERNEL(subtract, "x~ y~ result!~", serves_two)
KERNEL(multiply, "x~ y~ result!~", serves_two)
KERNEL(divide, "x~ y~ result!~", serves_two)
KERNEL(copy, "x~ result!~", serves_copy)
KERNEL(square, "x~ result!~", serves_one)
KERNEL(sqrt, "x~ result!~", serves_one)
#else

#ifndef LOOP
/* Elements of one line: `n`, with the strides of x, y and the result in elements. */
#define LOOP(X, Y) \
    GK_INDEPENDENT \
    for (ptrdiff_t i = 0; i < n; i++) \
        r[i] = OPERATION(X, Y);
#define EACH_LINE(name) \
    GK_CLONES static void name(const REAL *x, ptrdiff_t dx, const REAL *y, ptrdiff_t dy, REAL *r, ptrdiff_t dr, ptrdiff_t n) \
    { \
        if (dr == 1 && dx == 1 && dy == 1) { \
            LOOP(x[i], y[i]) \
        } else if (dr == 1 && dx == 1 && dy == 0) { \
            const REAL one = *y; \
            (void)one; \
            LOOP(x[i], one) \
        } else if (dr == 1 && dx == 0 && dy == 1) { \
            const REAL one = *x; \
            (void)one; \
            LOOP(one, y[i]) \
        } else { \
            for (ptrdiff_t i = 0; i < n; i++) \
                r[i * dr] = OPERATION(x[i * dx], y[i * dy]); \
        } \
    }
#endif

typedef void (*NAME(Line))(const REAL *, ptrdiff_t, const REAL *, ptrdiff_t, REAL *, ptrdiff_t, ptrdiff_t);

static void NAME(each_line)(NAME(Line) line, const gk_array *x, const gk_array *y, const gk_array *result)
{
    const ptrdiff_t item = sizeof(REAL);
    ptrdiff_t dx[AXES] = {0}, dy[AXES] = {0}, at[AXES] = {0};
    const char *px = x->data, *py = y->data;
    char *pr = result->data;
    if (!result->size)
        return;
    if (!result->ndim) {
        line(x->data, 0, y->data, 0, result->data, 0, 1);
        return;
    }
    broadcast(x, result, dx);
    broadcast(y, result, dy);
    const int inner = innermost(result);
    for (;;) {
        line((const REAL *)px, dx[inner] / item, (const REAL *)py, dy[inner] / item, (REAL *)pr, result->strides[inner] / item,
             result->shape[inner]);
        int axis = result->ndim - 1;
        for (; axis >= 0; axis--) {
            if (axis == inner)
                continue;
            px += dx[axis];
            py += dy[axis];
            pr += result->strides[axis];
            if (++at[axis] < result->shape[axis])
                break;
            px -= dx[axis] * at[axis];
            py -= dy[axis] * at[axis];
            pr -= result->strides[axis] * at[axis];
            at[axis] = 0;
        }
        if (axis < 0)
            return;
    }
}

#define OPERATION(X, Y) ((X) + (Y))
EACH_LINE(NAME(add_line))
#undef OPERATION
#define OPERATION(X, Y) ((X) - (Y))
EACH_LINE(NAME(subtract_line))
#undef OPERATION
#define OPERATION(X, Y) ((X) * (Y))
EACH_LINE(NAME(multiply_line))
#undef OPERATION
#define OPERATION(X, Y) ((X) / (Y))
EACH_LINE(NAME(divide_line))
#undef OPERATION
#define OPERATION(X, Y) (X)
EACH_LINE(NAME(copy_line))
#undef OPERATION
#define OPERATION(X, Y) ((X) * (X))
EACH_LINE(NAME(square_line))
#undef OPERATION
#define OPERATION(X, Y) SQRT(X)
EACH_LINE(NAME(sqrt_line))
#undef OPERATION

#define OF_TWO(name) \
    static void NAME(name)(const gk_array *a) \
    { \
        NAME(each_line)(NAME(name##_line), &a[0], &a[1], &a[2]); \
    }
#define OF_ONE(name) \
    static void NAME(name)(const gk_array *a) \
    { \
        NAME(each_line)(NAME(name##_line), &a[0], &a[0], &a[1]); \
    }
OF_TWO(add)
OF_TWO(subtract)
OF_TWO(multiply)
OF_TWO(divide)

/* r[j * dr + i] = x[i * dx + j], in tiles, for which whole lines of the cache are read and written at a time. */
GK_CLONES static void NAME(transpose)(const REAL *x, ptrdiff_t dx, REAL *r, ptrdiff_t dr, ptrdiff_t rows, ptrdiff_t columns)
{
    REAL tile[TILE][TILE];
    for (ptrdiff_t j = 0; j < columns; j += TILE)
        for (ptrdiff_t i = 0; i < rows; i += TILE) {
            const ptrdiff_t m = GK_MIN(TILE, rows - i), n = GK_MIN(TILE, columns - j);
            const REAL *from = x + i * dx + j;
            REAL *to = r + j * dr + i;
            if (m == TILE && n == TILE) {
                for (int k = 0; k < TILE; k++)
                    for (int l = 0; l < TILE; l++)
                        tile[l][k] = from[k * dx + l];
                for (int l = 0; l < TILE; l++)
                    memcpy(to + l * dr, tile[l], sizeof(tile[l]));
            } else {
                for (ptrdiff_t k = 0; k < m; k++)
                    for (ptrdiff_t l = 0; l < n; l++)
                        to[l * dr + k] = from[k * dx + l];
            }
        }
}

static void NAME(copy)(const gk_array *a)
{
    const ptrdiff_t item = sizeof(REAL);
    const gk_array *x = &a[0], *r = &a[1];
    ptrdiff_t at[AXES] = {0};
    int first, second, axis;
    if (!transposes(x, r, &first, &second)) {
        NAME(each_line)(NAME(copy_line), x, x, r);
        return;
    }
    const char *from = x->data;
    char *to = r->data;
    do {
        NAME(transpose)((const REAL *)from, x->strides[first] / item, (REAL *)to, r->strides[second] / item, r->shape[first],
                        r->shape[second]);
        for (axis = r->ndim - 1; axis >= 0; axis--) {
            if (axis == first || axis == second)
                continue;
            from += x->strides[axis];
            to += r->strides[axis];
            if (++at[axis] < r->shape[axis])
                break;
            from -= x->strides[axis] * at[axis];
            to -= r->strides[axis] * at[axis];
            at[axis] = 0;
        }
    } while (axis >= 0);
}
OF_ONE(square)
OF_ONE(sqrt)
#undef OF_TWO
#undef OF_ONE
#endif
