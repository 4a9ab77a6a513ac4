/* Attention of float32 by tiles of keys and blocks of queries, and its gradient, in one pass each. Dao, FlashAttention-2, 2023.
 *
 * q and y (N, groups, heads, T, size), k and v (N, groups, S, size): their last axes are contiguous. `seen` and `term` (N, groups, S,
 * heads, T), whose axes may be 1, say which keys a query attends to, or are added to the scores. A tile that is hidden from all
 * queries of a block is not computed; a query whose terms all absorb the scores attends to all keys alike. Scores have a row
 * per key and a column per query. Products are those of NumPy's BLAS, exp is exp2.h's.
 */

#include "exp2.h"
#include "kernels.h"

#define KEYS 128
#define QUERIES 64
#define LOG2_E 1.44269504f
#define ABSORBED -1e30f

enum { ROWS = 101, PLAIN = 111, TRANSPOSED = 112 }; /* cblas.h */

#define GEMM(blas_int) ((void (*)(int, int, int, blas_int, blas_int, blas_int, float, const float *, blas_int, const float *, \
                                  blas_int, float, float *, blas_int))gk_library->gemm[0])

/* c (m, n) = alpha a b + beta c, with a (m, k), or (k, m) if it is transposed. */
static void product(int order, ptrdiff_t m, ptrdiff_t n, ptrdiff_t k, float alpha, const float *a, ptrdiff_t a_row, const float *b,
                    ptrdiff_t b_row, float beta, float *c, ptrdiff_t c_row)
{
    if (gk_library->wide)
        GEMM(int64_t)(ROWS, order, PLAIN, m, n, k, alpha, a, a_row, b, b_row, beta, c, c_row);
    else
        GEMM(int32_t)(ROWS, order, PLAIN, (int32_t)m, (int32_t)n, (int32_t)k, alpha, a, (int32_t)a_row, b, (int32_t)b_row, beta, c,
                      (int32_t)c_row);
}

/* A matrix of rows that are contiguous. */
typedef struct {
    float *data;
    ptrdiff_t row, columns;
} Rows;

/* That of an array at the places of its leading axes; nothing if the array is absent. */
static Rows rows_of(const gk_array *a, ptrdiff_t i, ptrdiff_t j, ptrdiff_t k)
{
    Rows found = {0};
    if (!a->data)
        return found;
    const int last = a->ndim - 1;
    const ptrdiff_t at = i * a->strides[0] + j * a->strides[1] + (a->ndim == 5 ? k * a->strides[2] : 0);
    found.columns = a->shape[last];
    found.row = a->shape[last - 1] > 1 ? a->strides[last - 1] / (ptrdiff_t)sizeof(float) : found.columns;
    found.data = (float *)((char *)a->data + at);
    return found;
}

/* A mask of one head: `step` bytes from key to key, `next` from query to query. */
typedef struct {
    const char *seen, *term;
    ptrdiff_t step, next;
    int all_see; /* whether each query of the block has a key that its term does not absorb */
} Mask;

static ptrdiff_t stride_of(const gk_array *a, int axis)
{
    return a->shape[axis] > 1 ? a->strides[axis] : 0;
}

static Mask mask_of(const gk_array *seen, const gk_array *term, ptrdiff_t i, ptrdiff_t j, ptrdiff_t head)
{
    Mask mask = {0};
    const gk_array *a = seen->data ? seen : term;
    if (!a->data)
        return mask;
    const char *data = (const char *)a->data + i * stride_of(a, 0) + j * stride_of(a, 1) + head * stride_of(a, 3);
    mask.step = stride_of(a, 2);
    mask.next = stride_of(a, 4);
    *(seen->data ? &mask.seen : &mask.term) = data;
    return mask;
}

/* Some keys of some queries of a head. */
typedef struct {
    ptrdiff_t key, keys, query, queries;
    int causal;
} Part;

static int attends(const Mask *mask, ptrdiff_t key, ptrdiff_t query)
{
    const ptrdiff_t at = key * mask->step + query * mask->next;
    return mask->seen ? mask->seen[at] != 0 : *(const float *)(mask->term + at) > ABSORBED;
}

/* The keys of a query that come into question. */
static ptrdiff_t keys_of(const Part *part, ptrdiff_t query)
{
    return part->causal ? GK_MIN(part->key + part->keys, query + 1) : part->key + part->keys;
}

/* Whether every query has a key that its term does not absorb. */
static int all_see(const Mask *mask, const Part *part)
{
    const int one = !mask->next && !part->causal;
    for (ptrdiff_t q = part->query; q < part->query + (one ? 1 : part->queries); q++) {
        ptrdiff_t k = part->key;
        const ptrdiff_t end = keys_of(part, q);
        while (k < end && !attends(mask, k, q))
            k++;
        if (k >= end)
            return 0;
    }
    return 1;
}

static int anyone_attends(const Mask *mask, const Part *part, ptrdiff_t key)
{
    for (ptrdiff_t q = part->query; q < part->query + (mask->next ? part->queries : 1); q++)
        if (attends(mask, key, q))
            return 1;
    return 0;
}

/* Leave out the keys at both ends that are hidden from all queries; return whether any is left. */
static int narrow(const Mask *mask, Part *part)
{
    if ((!mask->seen && !mask->term) || (mask->term && !mask->all_see))
        return 1;
    for (; part->keys && !anyone_attends(mask, part, part->key); part->keys--)
        part->key++;
    while (part->keys && !anyone_attends(mask, part, part->key + part->keys - 1))
        part->keys--;
    return part->keys > 0;
}

/* Hide the scores z (keys, queries) of later and of masked keys, and add terms. */
GK_CLONES static void hide(float *z, const Mask *mask, const Part *part)
{
    const ptrdiff_t n = part->queries, next = mask->next;
    for (ptrdiff_t k = 0; k < part->keys; k++, z += n) {
        const ptrdiff_t own = (part->key + k) * mask->step + part->query * next;
        const char *seen = mask->seen ? mask->seen + own : NULL;
        const float *term = mask->term ? (const float *)(mask->term + own) : NULL;
        ptrdiff_t later = part->causal ? GK_MIN(n, part->key + k - part->query) : 0; /* so many queries come before the key */
        if (seen && !next)
            later = *seen ? later : n;
        else if (seen && next == 1)
            for (ptrdiff_t q = 0; q < n; q++)
                z[q] = seen[q] ? z[q] : -INFINITY;
        else
            for (ptrdiff_t q = 0; seen && q < n; q++)
                z[q] = seen[q * next] ? z[q] : -INFINITY;
        if (term && !next) {
            const float same = *term;
            for (ptrdiff_t q = 0; q < n; q++)
                z[q] += same;
        } else
            for (ptrdiff_t q = 0; term && q < n; q++)
                z[q] += *(const float *)((const char *)term + q * next);
        for (ptrdiff_t q = 0; q < later; q++)
            z[q] = -INFINITY;
    }
}

/* x (n, m) as columns, times a factor for each column. */
GK_CLONES static void columns_of(const float *x, ptrdiff_t row, ptrdiff_t n, ptrdiff_t m, const float *factors, float *out)
{
    for (ptrdiff_t j = 0; j < m; j++)
        for (ptrdiff_t i = 0; i < n; i++)
            out[j * n + i] = x[i * row + j] * factors[i];
}

/* Take a tile into the sums: scores become weights relative to the new largest; `factors` are what the sums so far are multiplied by. */
GK_CLONES static int weigh(float *z, ptrdiff_t keys, ptrdiff_t n, float *largest, float *sums, float *factors)
{
    float most[QUERIES];
    int changed = 0;
    for (ptrdiff_t q = 0; q < n; q++)
        most[q] = largest[q];
    for (ptrdiff_t k = 0; k < keys; k++)
        for (ptrdiff_t q = 0; q < n; q++)
            most[q] = z[k * n + q] > most[q] ? z[k * n + q] : most[q];
    for (ptrdiff_t q = 0; q < n; q++) {
        factors[q] = gk_exp2((largest[q] - most[q]) * LOG2_E);
        sums[q] *= factors[q];
        changed |= largest[q] != most[q];
        largest[q] = most[q];
    }
    for (ptrdiff_t k = 0; k < keys; k++) {
        float *row = z + k * n;
        GK_INDEPENDENT
        for (ptrdiff_t q = 0; q < n; q++) {
            const float e = gk_exp2((row[q] - most[q]) * LOG2_E);
            row[q] = e;
            sums[q] += e;
        }
    }
    return changed;
}

/* Scores become weights, and the gradients of weights those of scores. */
GK_CLONES static void weigh_back(float *z, float *d, ptrdiff_t keys, ptrdiff_t n, const float *largest, const float *dots)
{
    for (ptrdiff_t k = 0; k < keys; k++) {
        float *row = z + k * n, *slope = d + k * n;
        GK_INDEPENDENT
        for (ptrdiff_t q = 0; q < n; q++) {
            const float e = gk_exp2((row[q] - largest[q]) * LOG2_E);
            row[q] = e;
            slope[q] = (slope[q] - dots[q]) * e;
        }
    }
}

static int fits(const gk_array *a, const gk_array *like, int axes)
{
    int same = a->ndim == like->ndim;
    for (int k = 0; same && k < axes; k++)
        same = a->shape[k] == like->shape[k];
    return same;
}

/* Operands: q k v y seen term causal scale largest shares scratch. */
static const char *check(const gk_array *a)
{
    const gk_array *q = a, *k = a + 1, *v = a + 2, *y = a + 3;
    if (q->ndim != 5 || !fits(y, q, 4) || k->ndim != 4 || !fits(v, k, 3) || k->shape[0] != q->shape[0] || k->shape[1] != q->shape[1])
        return "the queries, keys and values do not belong together";
    if (q->shape[4] != k->shape[3] || v->shape[3] != y->shape[4])
        return "the sizes of heads differ";
    for (int m = 4; m < 6; m++) {
        const ptrdiff_t whole[] = {q->shape[0], q->shape[1], k->shape[2], q->shape[2], q->shape[3]};
        for (int axis = 0; a[m].data && axis < 5; axis++)
            if (a[m].ndim != 5 || (a[m].shape[axis] != 1 && a[m].shape[axis] != whole[axis]))
                return "the mask does not fit the scores";
    }
    const ptrdiff_t queries = q->shape[0] * q->shape[1] * q->shape[2] * q->shape[3];
    if ((a[4].data && a[5].data) || a[8].size != queries || a[9].size != queries)
        return "there is one mask, and a number for each query";
    return a[10].size < 2 * KEYS * QUERIES + QUERIES * (q->shape[4] + 2 * v->shape[3] + 4) ? "needs more scratch" : NULL;
}

/* Operands: those of the forward pass, then dy, dq, dk and dv. */
static const char *check_gradient(const gk_array *a)
{
    static const int like[] = {3, 0, 1, 2};
    for (int k = 0; k < 4; k++)
        if (a[11 + k].data && !fits(a + 11 + k, a + like[k], a[like[k]].ndim))
            return "a gradient has another shape";
    return check(a);
}

/* Whether the last axes of the arrays are contiguous and BLAS can have their rows. */
static int serves_rows(const gk_array *a, int from, int to)
{
    for (; from < to; from++) {
        const gk_array *x = a + from;
        const int last = x->ndim - 1;
        if (!x->data)
            continue;
        if (last < 3 || !x->size || (x->shape[last] > 1 && x->strides[last] != x->item))
            return 0;
        if (x->shape[last - 1] > 1 && (x->strides[last - 1] % x->item || x->strides[last - 1] < x->shape[last] * x->item))
            return 0;
        if (x->strides[last - 1] / x->item > INT32_MAX)
            return 0;
    }
    return 1;
}

static int serves(const gk_array *a)
{
    return gk_library && a[0].item == sizeof(float) && serves_rows(a, 0, 4);
}

static int serves_gradient(const gk_array *a)
{
    return serves(a) && serves_rows(a, 11, 15);
}

static void of_head(const gk_array *a, ptrdiff_t i, ptrdiff_t j, ptrdiff_t head)
{
    const ptrdiff_t T = a[0].shape[3], S = a[1].shape[2], first = ((i * a[0].shape[1] + j) * a[0].shape[2] + head) * T;
    const Rows q = rows_of(a, i, j, head), k = rows_of(a + 1, i, j, 0), v = rows_of(a + 2, i, j, 0), y = rows_of(a + 3, i, j, head);
    Mask mask = mask_of(a + 4, a + 5, i, j, head);
    const int causal = *(const int *)a[6].data;
    const float scale = *(const float *)a[7].data;
    float *z = a[10].data, *columns = z + 2 * KEYS * QUERIES, *sums = columns + QUERIES * q.columns;
    float *total = sums + QUERIES * v.columns * 2, *factors = total + QUERIES;
    for (ptrdiff_t start = 0; start < T; start += QUERIES) {
        const ptrdiff_t n = GK_MIN(QUERIES, T - start), end = causal ? GK_MIN(S, start + n) : S;
        const Part all = {0, end, start, n, causal};
        float *largest = (float *)a[8].data + first + start, *shares = (float *)a[9].data + first + start;
        int empty = 1;
        mask.all_see = mask.term && all_see(&mask, &all);
        for (ptrdiff_t c = 0; c < n; c++)
            factors[c] = scale;
        columns_of(q.data + start * q.row, q.row, n, q.columns, factors, columns);
        for (ptrdiff_t c = 0; c < n; c++)
            largest[c] = -FLT_MAX, total[c] = 0;
        for (ptrdiff_t tile = 0; tile < end; tile += KEYS) {
            Part part = {tile, GK_MIN(KEYS, end - tile), start, n, causal};
            if (!narrow(&mask, &part))
                continue;
            const ptrdiff_t key = part.key;
            product(PLAIN, part.keys, n, q.columns, 1, k.data + key * k.row, k.row, columns, n, 0, z, n);
            if (mask.seen || mask.term || (causal && key + part.keys > start))
                hide(z, &mask, &part);
            if (weigh(z, part.keys, n, largest, total, factors) && !empty)
                for (ptrdiff_t c = 0; c < n; c++)
                    for (ptrdiff_t w = 0; w < v.columns; w++)
                        sums[c * v.columns + w] *= factors[c];
            product(TRANSPOSED, n, v.columns, part.keys, 1, z, n, v.data + key * v.row, v.row, !empty, sums, v.columns);
            empty = 0;
        }
        for (ptrdiff_t c = 0; c < n; c++) {
            const float share = 1 / (total[c] < 1 ? 1 : total[c]); /* less than 1 only without keys */
            shares[c] = share;
            for (ptrdiff_t w = 0; w < v.columns; w++)
                y.data[(start + c) * y.row + w] = empty ? 0 : sums[c * v.columns + w] * share;
        }
    }
}

static void attention_float(const gk_array *a)
{
    const ptrdiff_t *shape = a[0].shape;
    for (ptrdiff_t i = 0; i < shape[0]; i++)
        for (ptrdiff_t j = 0; j < shape[1]; j++)
            for (ptrdiff_t head = 0; head < shape[2]; head++)
                of_head(a, i, j, head);
}

static void clear(Rows x, ptrdiff_t rows)
{
    for (ptrdiff_t i = 0; x.data && i < rows; i++)
        memset(x.data + i * x.row, 0, (size_t)x.columns * sizeof(float));
}

/* With E = exp(scores - largest) and the share r of a query: dV = E r dY, d scores = E (V r dY^T - r sum(dY Y)), where the latter is 0 for a
 * query whose scores are absorbed. */
static void gradient_of_head(const gk_array *a, ptrdiff_t i, ptrdiff_t j, ptrdiff_t head)
{
    const ptrdiff_t T = a[0].shape[3], S = a[1].shape[2], first = ((i * a[0].shape[1] + j) * a[0].shape[2] + head) * T;
    const Rows q = rows_of(a, i, j, head), k = rows_of(a + 1, i, j, 0), v = rows_of(a + 2, i, j, 0), y = rows_of(a + 3, i, j, head);
    const Rows dy = rows_of(a + 11, i, j, head), dq = rows_of(a + 12, i, j, head), dk = rows_of(a + 13, i, j, 0);
    const Rows dv = rows_of(a + 14, i, j, 0);
    Mask mask = mask_of(a + 4, a + 5, i, j, head);
    const int causal = *(const int *)a[6].data;
    const float scale = *(const float *)a[7].data;
    float *z = a[10].data, *d = z + KEYS * QUERIES, *columns = d + KEYS * QUERIES, *rows = columns + QUERIES * q.columns;
    float *across = rows + QUERIES * v.columns, *dots = across + QUERIES * v.columns, *factors = dots + QUERIES;
    for (ptrdiff_t start = 0; start < T; start += QUERIES) {
        const ptrdiff_t n = GK_MIN(QUERIES, T - start), end = causal ? GK_MIN(S, start + n) : S;
        const Part all = {0, end, start, n, causal};
        const float *largest = (const float *)a[8].data + first + start, *shares = (const float *)a[9].data + first + start;
        int empty = 1;
        mask.all_see = mask.term && all_see(&mask, &all);
        for (ptrdiff_t c = 0; c < n; c++)
            factors[c] = scale;
        columns_of(q.data + start * q.row, q.row, n, q.columns, factors, columns);
        for (ptrdiff_t c = 0; c < n; c++) {
            const float *x = y.data + (start + c) * y.row, *g = dy.data + (start + c) * dy.row;
            float dot = 0;
            for (ptrdiff_t w = 0; w < v.columns; w++) {
                dot += x[w] * g[w];
                rows[c * v.columns + w] = g[w] * shares[c];
            }
            factors[c] = largest[c] > ABSORBED ? shares[c] : 0;
            dots[c] = dot * factors[c];
        }
        columns_of(dy.data + start * dy.row, dy.row, n, v.columns, factors, across);
        for (ptrdiff_t tile = 0; tile < end; tile += KEYS) {
            Part part = {tile, GK_MIN(KEYS, end - tile), start, n, causal};
            if (!narrow(&mask, &part))
                continue;
            const ptrdiff_t key = part.key;
            product(PLAIN, part.keys, n, q.columns, 1, k.data + key * k.row, k.row, columns, n, 0, z, n);
            if (mask.seen || mask.term || (causal && key + part.keys > start))
                hide(z, &mask, &part);
            product(PLAIN, part.keys, n, v.columns, 1, v.data + key * v.row, v.row, across, n, 0, d, n);
            weigh_back(z, d, part.keys, n, largest, dots);
            if (dv.data)
                product(PLAIN, part.keys, v.columns, n, 1, z, n, rows, v.columns, 1, dv.data + key * dv.row, dv.row);
            if (dk.data)
                product(PLAIN, part.keys, q.columns, n, scale, d, n, q.data + start * q.row, q.row, 1, dk.data + key * dk.row, dk.row);
            if (dq.data)
                product(TRANSPOSED, n, q.columns, part.keys, scale, d, n, k.data + key * k.row, k.row, !empty,
                        dq.data + start * dq.row, dq.row);
            empty = 0;
        }
        if (empty && dq.data)
            clear((Rows){dq.data + start * dq.row, dq.row, dq.columns}, n);
    }
}

static void attention_gradient_float(const gk_array *a)
{
    const ptrdiff_t *shape = a[0].shape;
    for (ptrdiff_t i = 0; i < shape[0]; i++)
        for (ptrdiff_t j = 0; j < shape[1]; j++) {
            clear(rows_of(a + 13, i, j, 0), a[1].shape[2]);
            clear(rows_of(a + 14, i, j, 0), a[1].shape[2]);
            for (ptrdiff_t head = 0; head < shape[2]; head++)
                gradient_of_head(a, i, j, head);
        }
}

const gk_kernel gk_attention = {
    "attention", "q~ k~ v~ y!~ seen?~:? term?~ causal():i scale() largest! shares! scratch!", check, attention_float, NULL, serves,
};
const gk_kernel gk_attention_gradient = {
    "attention_gradient",
    "q~ k~ v~ y~ seen?~:? term?~ causal():i scale() largest shares scratch! dy~ dq!?~ dk!?~ dv!?~",
    check_gradient, attention_gradient_float, NULL, serves_gradient,
};
