/* The cross-entropy of softmax with class ids: the logits of the labels, and the gradient. */

#ifndef REAL
#include "kernels.h"

static const char *gk_check_pick(const gk_array *a)
{
    const ptrdiff_t rows = a[1].size;
    return a[2].size != rows || a[4].size != rows || a[5].size != rows ? "needs a number for each label" : NULL;
}

static const char *gk_check_class_gradient(const gk_array *a)
{
    if (a[0].ndim != 3)
        return "needs an array (outer, classes, inner)";
    const ptrdiff_t rows = a[0].shape[0] * a[0].shape[2];
    return a[1].size != rows || a[2].size != rows || a[3].size != rows || a[4].size != rows ? "needs a number for each label"
                                                                                           : NULL;
}

static const char *gk_check_target_gradient(const gk_array *a)
{
    if (a[0].ndim != 3 || a[4].ndim != 3)
        return "needs arrays (outer, classes, inner)";
    for (int k = 0; k < 3; k++)
        if (a[0].shape[k] != a[4].shape[k])
            return "the targets have another shape";
    const ptrdiff_t rows = a[0].shape[0] * a[0].shape[2];
    return a[1].size != rows || a[2].size != rows || a[3].size != rows ? "needs a number for each row" : NULL;
}

/* An index that is not below `size`, as np.take with mode "clip" reads it. */
GK_INLINE ptrdiff_t gk_clipped(int64_t index, ptrdiff_t size)
{
    return index < 0 ? 0 : index >= size ? size - 1 : (ptrdiff_t)index;
}

#define SOURCE "cross_entropy.c"
#include "each_real.h"

const gk_kernel gk_pick = {"pick", "z labels:q starts:q step:q()? indices:q! values!", gk_check_pick, pick_float, pick_double};
const gk_kernel gk_class_gradient = {
    "class_gradient", "z! sums dy indices:q values! wrong:q!()", gk_check_class_gradient, class_gradient_float,
    class_gradient_double,
};
const gk_kernel gk_target_gradient = {
    "target_gradient", "z! sums dy target_sums targets~", gk_check_target_gradient, target_gradient_float,
    target_gradient_double,
};
#else

/* index = label step + start; value = z[index]. */
GK_CLONES static void NAME(pick)(const gk_array *a)
{
    const REAL *z = a[0].data;
    const int64_t *labels = a[1].data, *starts = a[2].data;
    const uint64_t step = a[3].data ? *(const uint64_t *)a[3].data : 1;
    int64_t *indices = a[4].data;
    REAL *values = a[5].data;
    const ptrdiff_t rows = a[1].size, size = a[0].size;
    for (ptrdiff_t r = 0; r < rows; r++) {
        indices[r] = (int64_t)((uint64_t)labels[r] * step + (uint64_t)starts[r]);
        if (size)
            values[r] = z[gk_clipped(indices[r], size)];
    }
}

/* values = dy / sums, and z = z values, of each row; then z[index] = z[index] - dy, where indices count from the end if they
 * are negative. `wrong` is an index out of range; 0 if there is none. */
GK_CLONES static void NAME(class_gradient)(const gk_array *a)
{
    const ptrdiff_t outer = a[0].shape[0], classes = a[0].shape[1], inner = a[0].shape[2], size = a[0].size;
    REAL *z = a[0].data, *values = a[4].data;
    const REAL *sums = a[1].data, *dy = a[2].data;
    const int64_t *indices = a[3].data;
    int64_t *wrong = a[5].data;
    *wrong = 0;
    GK_INDEPENDENT
    for (ptrdiff_t r = 0; r < outer * inner; r++)
        values[r] = dy[r] / sums[r];
    for (ptrdiff_t o = 0; o < outer; o++) {
        const REAL *scale = values + o * inner;
        REAL *block = z + o * classes * inner;
        if (inner == 1) {
            const REAL factor = *scale;
            GK_INDEPENDENT
            for (ptrdiff_t k = 0; k < classes; k++)
                block[k] = block[k] * factor;
            continue;
        }
        for (ptrdiff_t k = 0; k < classes; k++) {
            REAL *row = block + k * inner;
            GK_INDEPENDENT
            for (ptrdiff_t j = 0; j < inner; j++)
                row[j] = row[j] * scale[j];
        }
    }
    if (!size)
        return;
    for (ptrdiff_t r = 0; r < outer * inner; r++)
        values[r] = z[gk_clipped(indices[r], size)] - dy[r];
    for (ptrdiff_t r = 0; r < outer * inner; r++) {
        const int64_t at = indices[r] < 0 ? indices[r] + size : indices[r];
        if (at < 0 || at >= size)
            *wrong = indices[r];
        else
            z[at] = values[r];
    }
}

/* n elements of z, one column each, or of one row: z scale - target dy. */
GK_INLINE void NAME(gk_less_targets)(REAL *z, const REAL *scale, const REAL *dy, ptrdiff_t by, const char *targets,
                                     ptrdiff_t step, ptrdiff_t n)
{
    if (step == (ptrdiff_t)sizeof(REAL)) {
        const REAL *t = (const REAL *)targets;
        GK_INDEPENDENT
        for (ptrdiff_t j = 0; j < n; j++)
            z[j] = z[j] * scale[j * by] - t[j] * dy[j * by];
    } else {
        GK_INDEPENDENT
        for (ptrdiff_t j = 0; j < n; j++)
            z[j] = z[j] * scale[j * by] - *(const REAL *)(targets + j * step) * dy[j * by];
    }
}

/* scale = dy target_sums / sums; z = z scale - targets dy. */
GK_CLONES static void NAME(target_gradient)(const gk_array *a)
{
    const ptrdiff_t outer = a[0].shape[0], classes = a[0].shape[1], inner = a[0].shape[2], *steps = a[4].strides;
    const REAL *sums = a[1].data, *dy = a[2].data, *target_sums = a[3].data;
    REAL scale[GK_TILE];
    for (ptrdiff_t o = 0; o < outer; o++) {
        for (ptrdiff_t start = 0; start < inner; start += GK_TILE) {
            const ptrdiff_t n = GK_MIN(GK_TILE, inner - start), row = o * inner + start;
            const char *targets = (const char *)a[4].data + o * steps[0] + start * steps[2];
            REAL *z = (REAL *)a[0].data + o * classes * inner + start;
            GK_INDEPENDENT
            for (ptrdiff_t j = 0; j < n; j++)
                scale[j] = dy[row + j] * target_sums[row + j] / sums[row + j];
            if (inner == 1) {
                NAME(gk_less_targets)(z, scale, dy + row, 0, targets, steps[1], classes);
                continue;
            }
            for (ptrdiff_t k = 0; k < classes; k++)
                NAME(gk_less_targets)(z + k * inner, scale, dy + row, 1, targets + k * steps[1], steps[2], n);
        }
    }
}
#endif
