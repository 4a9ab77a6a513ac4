/* Sums of the columns of a matrix: of x and its squares, and of gradients and their products with x.
 *
 * A column is added row by row, starting at 0, so the order depends on no instruction set: it is that of NumPy's
 * add.reduce and einsum. Two rows at a time would be quicker in the second-level cache, and slower where memory is.
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

GK_CLONES static void NAME(square_sums)(const gk_array *a)
{
    const ptrdiff_t rows = a[0].shape[0], width = a[0].shape[1];
    REAL *sums = a[1].data, *squares = a[2].data;
    for (ptrdiff_t j = 0; j < width; j++)
        sums[j] = squares[j] = 0;
    for (ptrdiff_t i = 0; i < rows; i++) {
        const REAL *x = (const REAL *)a[0].data + i * width;
        GK_INDEPENDENT
        for (ptrdiff_t j = 0; j < width; j++) {
            const REAL v = x[j], s = sums[j] + v, q = GK_MULTIPLY_ADD(v, v, squares[j]);
            sums[j] = s;
            squares[j] = q;
        }
    }
}

/* A gradient becomes 0 where `active` is, is added, then multiplied by the scale of its column. */
GK_INLINE void NAME(gradient_sums_of)(const gk_array *a, int summed, int masked, int scaled)
{
    const ptrdiff_t rows = a[0].shape[0], width = a[0].shape[1];
    REAL *sums = a[2].data, *products = a[3].data;
    const REAL *scale = a[5].data;
    for (ptrdiff_t j = 0; j < width; j++) {
        if (summed)
            sums[j] = 0;
        products[j] = 0;
    }
    for (ptrdiff_t i = 0; i < rows; i++) {
        const REAL *x = (const REAL *)a[0].data + i * width;
        REAL *dy = (REAL *)a[1].data + i * width;
        const BITS *active = masked ? (const BITS *)a[4].data + i * width : NULL;
        GK_INDEPENDENT
        for (ptrdiff_t j = 0; j < width; j++) {
            const REAL d = masked && !active[j] ? 0 : dy[j];
            const REAL s = summed ? sums[j] + d : 0, p = GK_MULTIPLY_ADD(x[j], d, products[j]);
            if (summed)
                sums[j] = s;
            products[j] = p;
            if (masked || scaled)
                dy[j] = scaled ? d * scale[j] : d;
        }
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
