/* Products of matrices by the BLAS that NumPy uses, with the functions and arguments that NumPy chooses: its bits.
 *
 * `dot` and `matmul`: result = a @ b, with broadcast leading axes; a vector is a row on the left and a column on the right. Of a product,
 * NumPy calls dot for a row times a column, gemv for a matrix and a vector, else gemm; its matmul multiplies a column by a row itself.
 */

#ifndef REAL
#include "kernels.h"

const gk_blas *gk_library = NULL;

enum { ROWS = 101, COLUMNS = 102, PLAIN = 111, TRANSPOSED = 112 }; /* cblas.h */
enum { LARGEST = 0x7fffffff }; /* of an integer of 32 bits */

/* A matrix in memory: `order` has one of the strides that is the size of an element, `lead` is the other in elements. */
typedef struct {
    int order;
    ptrdiff_t lead;
} Layout;

static Layout layout(ptrdiff_t row, ptrdiff_t column, ptrdiff_t rows, ptrdiff_t columns, ptrdiff_t item)
{
    if (column == item && row % item == 0 && row / item >= columns && row / item < LARGEST)
        return (Layout){ROWS, row / item};
    if (row == item && column % item == 0 && column / item >= rows && column / item < LARGEST)
        return (Layout){COLUMNS, column / item};
    return (Layout){0, 0};
}

/* The sizes and strides of one product; `axes` leading axes of the result are looped over. */
typedef struct {
    ptrdiff_t m, k, n, a_row, a_column, b_row, b_column, row, column;
    int axes;
} Shape;

static Shape shape_of(const gk_array *a)
{
    const gk_array *x = &a[0], *y = &a[1], *r = &a[2];
    const int v = x->ndim == 1, w = y->ndim == 1, nx = x->ndim, ny = y->ndim, nr = r->ndim;
    Shape s = {0};
    s.m = v ? 1 : x->shape[nx - 2];
    s.k = x->shape[nx - 1];
    s.n = w ? 1 : y->shape[ny - 1];
    s.a_row = v ? 0 : x->strides[nx - 2];
    s.a_column = x->strides[nx - 1];
    s.b_row = w ? y->strides[0] : y->strides[ny - 2];
    s.b_column = w ? 0 : y->strides[ny - 1];
    s.axes = nr - !v - !w;
    s.row = v ? 0 : r->strides[s.axes];
    s.column = w ? 0 : r->strides[nr - 1];
    return s;
}

/* Positive and a multiple of an element: a stride that BLAS can have. */
static int steps(ptrdiff_t stride, ptrdiff_t item)
{
    return stride > 0 && stride % item == 0 && stride / item < LARGEST;
}

/* `least`: the number of terms of a sum from which NumPy calls BLAS. */
static int serves(const gk_array *a, ptrdiff_t least)
{
    const ptrdiff_t item = a[2].item;
    if (!gk_library || !a[0].ndim || !a[1].ndim || a[0].ndim > 8 || a[1].ndim > 8 || !a[0].size || !a[1].size || !a[2].size)
        return 0;
    const Shape s = shape_of(a);
    if (s.axes < 0 || (s.axes && (a[0].ndim == 1 || a[1].ndim == 1)))
        return 0;
    if (s.m >= LARGEST || s.k >= LARGEST || s.n >= LARGEST || s.k < least)
        return 0;
    if (s.k == 1 && (s.m == 1 || s.n == 1))
        return 0;
    if (s.m == 1 && s.n == 1)
        return steps(s.a_column, item) && steps(s.b_row, item);
    const int first = layout(s.a_row, s.a_column, s.m, s.k, item).order;
    const int second = layout(s.b_row, s.b_column, s.k, s.n, item).order;
    if (s.m == 1)
        return second && steps(s.a_column, item) && steps(s.column, item);
    if (s.n == 1)
        return first && steps(s.b_row, item) && steps(s.row, item);
    if (s.m == s.n && a[0].data == a[1].data)
        return 0; /* NumPy has a function of its own for a matrix times its transpose */
    return first && second && layout(s.row, s.column, s.m, s.n, item).order == ROWS;
}

static int serves_dot(const gk_array *a)
{
    return serves(a, 1);
}

static int serves_matmul(const gk_array *a)
{
    return serves(a, 2);
}

static ptrdiff_t leading_stride(const gk_array *x, int axes, int axis, int own)
{
    const int at = x->ndim - own - (axes - axis);
    return at < 0 || x->shape[at] == 1 ? 0 : x->strides[at];
}

#define SOURCE "products.c"
#include "each_real.h"

const gk_kernel gk_dot = {"dot", "a~ b~ result!~", NULL, product_float, product_double, serves_dot};
const gk_kernel gk_matmul = {"matmul", "a~ b~ result!~", NULL, product_float, product_double, serves_matmul};
#else

#define CALL(function, type, ...) \
    do { \
        if (gk_library->wide) { \
            typedef int64_t blas_int; \
            ((type)gk_library->function[sizeof(REAL) == 8])(__VA_ARGS__); \
        } else { \
            typedef int32_t blas_int; \
            ((type)gk_library->function[sizeof(REAL) == 8])(__VA_ARGS__); \
        } \
    } while (0)
#define GEMM void (*)(int, int, int, blas_int, blas_int, blas_int, REAL, const REAL *, blas_int, const REAL *, blas_int, REAL, \
                      REAL *, blas_int)
#define GEMV void (*)(int, int, blas_int, blas_int, REAL, const REAL *, blas_int, const REAL *, blas_int, REAL, REAL *, blas_int)
#define DOT REAL (*)(blas_int, const REAL *, blas_int, const REAL *, blas_int)

static void NAME(one_product)(const Shape *s, const REAL *a, const REAL *b, REAL *result)
{
    const ptrdiff_t item = sizeof(REAL);
    if (s->m == 1 && s->n == 1) {
        double sum = 0; /* as in NumPy: 0 + -0 is 0 */
        if (gk_library->wide) {
            typedef int64_t blas_int;
            sum += ((DOT)gk_library->dot[item == 8])(s->k, a, s->a_column / item, b, s->b_row / item);
        } else {
            typedef int32_t blas_int;
            sum += ((DOT)gk_library->dot[item == 8])((blas_int)s->k, a, (blas_int)(s->a_column / item), b,
                                                     (blas_int)(s->b_row / item));
        }
        *result = (REAL)sum;
        return;
    }
    Layout x = layout(s->a_row, s->a_column, s->m, s->k, item), y = layout(s->b_row, s->b_column, s->k, s->n, item);
    if (s->k == 1) { /* both orders fit, and NumPy takes columns */
        x = (Layout){COLUMNS, s->m};
        y = (Layout){COLUMNS, 1};
    }
    if (s->n == 1)
        CALL(gemv, GEMV, x.order, PLAIN, (blas_int)s->m, (blas_int)s->k, 1, a, (blas_int)x.lead, b,
             (blas_int)(s->b_row / item), 0, result, (blas_int)(s->row / item));
    else if (s->m == 1)
        CALL(gemv, GEMV, y.order, TRANSPOSED, (blas_int)s->k, (blas_int)s->n, 1, b, (blas_int)y.lead, a,
             (blas_int)(s->a_column / item), 0, result, (blas_int)(s->column / item));
    else
        CALL(gemm, GEMM, ROWS, x.order == ROWS ? PLAIN : TRANSPOSED, y.order == ROWS ? PLAIN : TRANSPOSED, (blas_int)s->m,
             (blas_int)s->n, (blas_int)s->k, 1, a, (blas_int)x.lead, b, (blas_int)y.lead, 0, result,
             (blas_int)(s->row / item));
}

static void NAME(products)(const gk_array *a, const Shape *s, int axis, const char *x, const char *y, char *result)
{
    if (axis == s->axes) {
        NAME(one_product)(s, (const REAL *)x, (const REAL *)y, (REAL *)result);
        return;
    }
    const ptrdiff_t first = leading_stride(&a[0], s->axes, axis, 2), second = leading_stride(&a[1], s->axes, axis, 2);
    for (ptrdiff_t i = 0; i < a[2].shape[axis]; i++)
        NAME(products)(a, s, axis + 1, x + i * first, y + i * second, result + i * a[2].strides[axis]);
}

static void NAME(product)(const gk_array *a)
{
    const Shape s = shape_of(a);
    NAME(products)(a, &s, 0, a[0].data, a[1].data, a[2].data);
}

#undef CALL
#undef GEMM
#undef GEMV
#undef DOT
#endif
