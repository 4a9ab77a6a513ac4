/* Sums of the columns of a matrix: of x and its squares, and of gradients and their products with x.
 *
 * A column is added row by row, starting at 0, so the order depends on no instruction set: it is that of NumPy's
 * add.reduce and einsum. Four rows at a time: a sum is then loaded and stored for every fourth row only.
 */

#ifndef REAL
#include "kernels.h"

/* Where NumPy's einsum multiplies and adds with one rounding. graphspec compares the two before it uses these kernels. */
#if defined(__aarch64__) || defined(_M_ARM64)
#define GK_MULTIPLY_ADD(a, b, c) FMA(a, b, c)
#else
#define GK_MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#endif

/* Whether the arrays `from` to `to` have a number for each column of the matrix a[0]. */
static const char *gk_check_columns(const gk_array *a, int from, int to)
{
    if (a[0].ndim != 2)
        return "the rows are no matrix";
    for (int k = from; k <= to; k++) {
        if (a[k].data && a[k].size != a[0].shape[1])
            return "sums and rows differ in width";
    }
    return NULL;
}

static const char *gk_check_square_sums(const gk_array *a)
{
    return gk_check_columns(a, 1, 2);
}

static const char *gk_check_gradient_sums(const gk_array *a)
{
    if (a[1].size != a[0].size || (a[4].data && a[4].size != a[0].size))
        return "rows differ in number or size";
    if (a[0].data == a[1].data && a[0].size)
        return "x is the gradient";
    const char *wrong = gk_check_columns(a, 2, 3);
    return wrong ? wrong : gk_check_columns(a, 5, 5);
}

#define SOURCE "sums.c"
#include "each_real.h"

const gk_kernel gk_square_sums = {
    "square_sums", "x sums! squares!", gk_check_square_sums, square_sums_float, square_sums_double,
};
const gk_kernel gk_gradient_sums = {
    "gradient_sums", "x dy! sums!? products! active? scale?", gk_check_gradient_sums,
    gradient_sums_float, gradient_sums_double,
};
#else

#define GK_SQUARE(I)                        \
    {                                       \
        const REAL v = x[I * width + j];    \
        s = s + v;                          \
        q = GK_MULTIPLY_ADD(v, v, q);       \
    }

/* Add one or two rows from row i. */
GK_INLINE void NAME(square_sums_rows)(const gk_array *a, ptrdiff_t i, int two)
{
    const ptrdiff_t width = a[0].shape[1];
    const REAL *x = (const REAL *)a[0].data + i * width;
    REAL *sums = a[1].data, *squares = a[2].data;
    const int first = i == 0;
    GK_INDEPENDENT
    for (ptrdiff_t j = 0; j < width; j++) {
        REAL s = first ? 0 : sums[j], q = first ? 0 : squares[j];
        GK_SQUARE(0)
        if (two)
            GK_SQUARE(1)
        sums[j] = s;
        squares[j] = q;
    }
}

#undef GK_SQUARE

GK_CLONES static void NAME(square_sums)(const gk_array *a)
{
    const ptrdiff_t rows = a[0].shape[0], width = a[0].shape[1];
    ptrdiff_t i = 0;
    for (; i + 2 <= rows; i += 2)
        NAME(square_sums_rows)(a, i, 1);
    for (; i < rows; i++)
        NAME(square_sums_rows)(a, i, 0);
    for (ptrdiff_t j = 0; !rows && j < width; j++)
        ((REAL *)a[1].data)[j] = ((REAL *)a[2].data)[j] = 0;
}

/* Load a gradient, 0 where `active` is, and x: all rows first, since a store to one row could be taken for a load from
 * the next while only the low bits of addresses are compared. */
#define GK_LOAD(I)                                                        \
    const ptrdiff_t k##I = I * width + j;                                 \
    const REAL d##I = masked && !active[k##I] ? 0 : dy[k##I], x##I = x[k##I];
/* Add it, and store it multiplied by the column's scale. */
#define GK_ADD(I)                                                         \
    s = s + d##I;                                                         \
    p = GK_MULTIPLY_ADD(x##I, d##I, p);
#define GK_STORE(I)                                                       \
    dy[k##I] = scaled ? d##I * scale[j] : d##I;

/* Add one or two rows from row i. */
GK_INLINE void NAME(gradient_sums_rows)(
    const gk_array *a, ptrdiff_t i, int two, int summed, int masked, int scaled)
{
    const ptrdiff_t width = a[0].shape[1];
    const REAL *x = (const REAL *)a[0].data + i * width, *scale = a[5].data;
    REAL *dy = (REAL *)a[1].data + i * width, *sums = a[2].data, *products = a[3].data;
    const BITS *active = masked ? (const BITS *)a[4].data + i * width : NULL;
    const int first = i == 0;
    (void)active, (void)scale;
    GK_INDEPENDENT
    for (ptrdiff_t j = 0; j < width; j++) {
        REAL s = first || !summed ? 0 : sums[j], p = first ? 0 : products[j];
        GK_LOAD(0)
        if (two) {
            GK_LOAD(1)
            GK_ADD(0)
            GK_ADD(1)
            if (masked || scaled) {
                GK_STORE(0)
                GK_STORE(1)
            }
        } else {
            GK_ADD(0)
            if (masked || scaled) {
                GK_STORE(0)
            }
        }
        if (summed)
            sums[j] = s;
        products[j] = p;
    }
}

#undef GK_LOAD
#undef GK_ADD
#undef GK_STORE

GK_INLINE void NAME(gradient_sums_of)(const gk_array *a, int summed, int masked, int scaled)
{
    const ptrdiff_t rows = a[0].shape[0], width = a[0].shape[1];
    ptrdiff_t i = 0;
    for (; i + 2 <= rows; i += 2)
        NAME(gradient_sums_rows)(a, i, 1, summed, masked, scaled);
    for (; i < rows; i++)
        NAME(gradient_sums_rows)(a, i, 0, summed, masked, scaled);
    for (ptrdiff_t j = 0; !rows && j < width; j++) {
        if (summed)
            ((REAL *)a[2].data)[j] = 0;
        ((REAL *)a[3].data)[j] = 0;
    }
}

GK_CLONES static void NAME(gradient_sums)(const gk_array *a)
{
    switch ((a[2].data ? 4 : 0) + (a[4].data ? 2 : 0) + (a[5].data ? 1 : 0)) {
    case 0: NAME(gradient_sums_of)(a, 0, 0, 0); break;
    case 1: NAME(gradient_sums_of)(a, 0, 0, 1); break;
    case 2: NAME(gradient_sums_of)(a, 0, 1, 0); break;
    case 3: NAME(gradient_sums_of)(a, 0, 1, 1); break;
    case 4: NAME(gradient_sums_of)(a, 1, 0, 0); break;
    case 5: NAME(gradient_sums_of)(a, 1, 0, 1); break;
    case 6: NAME(gradient_sums_of)(a, 1, 1, 0); break;
    default: NAME(gradient_sums_of)(a, 1, 1, 1); break;
    }
}
#endif
