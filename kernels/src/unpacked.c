/* Products of matrices that BLAS copies into its own order first: here the first one is read where it is, and at most 32 columns of the
 * second are copied at a time. Of few rows and a large matrix, of few terms with a large result, and of matrices of up to a million numbers.
 *
 * result (m, n) = a (m, k) @ b (k, n), b row by row or column by column, the result row by row. Sums are those of OpenBLAS with
 * AVX-512, which multiplies and adds with one rounding: term by term, anew for each part of k, and parts of at most `part` terms are
 * then added. Floats only.
 */

#include "kernels.h"

#ifdef GK_HAS_CLONES
#include <immintrin.h>
#include <string.h>

#define FEW 32         /* rows of a that pass over a large matrix once */
#define MOST_TERMS 512 /* of a part */
#define HEIGHT 8       /* rows whose sums are in registers */
#define WIDTH 32       /* and their columns: two vectors */
#define STRIP 256      /* columns whose sums stay in the first-level cache */
#define AHEAD 16       /* rows of b that are used by all rows of a before the next ones */
#define LARGE (1 << 20) /* elements: no second-level cache holds more */

/* Terms of the next part of `left`, as in OpenBLAS's driver/level3/level3.c: the last two are alike. */
static ptrdiff_t terms(ptrdiff_t left, ptrdiff_t part)
{
    return left >= 2 * part ? part : left > part ? (left / 2 + 15) / 16 * 16 : left;
}

static int streams(const gk_array *a)
{
    return a[2].shape[0] <= FEW && a[1].size > LARGE && a[1].strides[1] == 4;
}

/* Whether b, or its transpose, lies row by row. */
static int by_rows(const gk_array *x, int row, int column)
{
    return x->strides[column] == 4 && x->strides[row] % 4 == 0 && x->strides[row] >= 4 * x->shape[column];
}

/* Whether the operands are small enough to be read again and again (measured). */
static int stays(const gk_array *a, ptrdiff_t m, ptrdiff_t k, ptrdiff_t n)
{
    const int turned = a[0].strides[0] == 4 && a[0].strides[1] != 4, by_columns = !by_rows(a + 1, 0, 1);
    if (m % HEIGHT || (by_columns && m < 32))
        return 0;
    if (k <= 64 && !by_columns)
        return 1;
    if (turned && m > 256 && (k > 256 || m * n > LARGE / 2))
        return 0;
    return k * n <= LARGE && m * k <= 4 * LARGE;
}

static int serves(const gk_array *a)
{
    const ptrdiff_t part = *(const int64_t *)a[3].data;
    if (!__builtin_cpu_supports("avx512f"))
        return 0;
    if (a[0].item != 4 || a[0].ndim != 2 || a[0].strides[0] % 4 || a[0].strides[1] % 4 || a[1].ndim != 2 || a[2].ndim != 2 ||
        !by_rows(a + 2, 0, 1) || !(by_rows(a + 1, 0, 1) || by_rows(a + 1, 1, 0)))
        return 0;
    const ptrdiff_t m = a[0].shape[0], k = a[0].shape[1], n = a[1].shape[1];
    if (a[1].shape[0] != k || a[2].shape[0] != m || a[2].shape[1] != n || a[0].data == a[1].data)
        return 0;
    return m > 1 && k > 1 && n > 0 && n % WIDTH == 0 && part > 0 && part <= MOST_TERMS && (streams(a) || stays(a, m, k, n));
}

#define EACH _Pragma("GCC unroll 16") for (int t = 0; t < HEIGHT; t++)

/* The tile at `to`, whose rows are `under` apart: sums p and q of two vectors a row. */
#define SET(value) EACH { p[t] = q[t] = value; }
#define LOAD EACH { p[t] = _mm512_loadu_ps(to + t * under), q[t] = _mm512_loadu_ps(to + t * under + 16); }
#define ADD(x, y) EACH { p[t] = _mm512_add_ps(x, p[t]), q[t] = _mm512_add_ps(y, q[t]); }
#define STORE EACH { _mm512_storeu_ps(to + t * under, p[t]), _mm512_storeu_ps(to + t * under + 16, q[t]); }

/* Add the terms of one row of b; `v` is the column of a, whose rows are `row` apart. */
#define ADD_TERM(v, row) \
    { \
        const __m512 c = _mm512_loadu_ps(w), d = _mm512_loadu_ps(w + 16); \
        EACH \
        { \
            const __m512 x = _mm512_set1_ps((v)[t * (row)]); \
            p[t] = _mm512_fmadd_ps(x, c, p[t]); \
            q[t] = _mm512_fmadd_ps(x, d, q[t]); \
        } \
    }

/* Some columns of `AHEAD` rows of b for all rows of a, then the next columns of a strip, then the next rows of b. */
__attribute__((target("avx512f"))) static void once(const gk_array *a)
{
    const ptrdiff_t m = a[2].shape[0], k = a[0].shape[1], n = a[2].shape[1], row = a[0].strides[0] / 4, column = a[0].strides[1] / 4;
    const ptrdiff_t next = a[1].strides[0] / 4, high = (m + HEIGHT - 1) / HEIGHT * HEIGHT, part = *(const int64_t *)a[3].data;
    float x[MOST_TERMS * FEW], sums[FEW * STRIP];
    for (ptrdiff_t first = 0, count; first < k; first += count) {
        count = terms(k - first, part);
        const float *from = (const float *)a[0].data + first * column;
        for (ptrdiff_t i = 0; i < count; i++)
            for (ptrdiff_t r = 0; r < high; r++)
                x[i * high + r] = r < m ? from[r * row + i * column] : 0;
        for (ptrdiff_t left = 0; left < n; left += STRIP) {
            const ptrdiff_t under = GK_MIN(STRIP, n - left);
            memset(sums, 0, sizeof(float) * (size_t)(high * under));
            for (ptrdiff_t i = 0; i < count; i += AHEAD) {
                const ptrdiff_t some = GK_MIN(AHEAD, count - i);
                for (ptrdiff_t j = 0; j < under; j += WIDTH)
                    for (ptrdiff_t r = 0; r < high; r += HEIGHT) {
                        const float *w = (const float *)a[1].data + (first + i) * next + left + j, *v = x + i * high + r;
                        float *to = sums + r * under + j;
                        __m512 p[HEIGHT], q[HEIGHT];
                        LOAD
                        for (ptrdiff_t s = 0; s < some; s++, w += next, v += high) {
                            if (!r) {
                                _mm_prefetch((const char *)(w + AHEAD * next), _MM_HINT_T0);
                                _mm_prefetch((const char *)(w + AHEAD * next + 16), _MM_HINT_T0);
                            }
                            ADD_TERM(v, 1)
                        }
                        STORE
                    }
            }
            for (ptrdiff_t r = 0; r < m; r++) {
                float *to = (float *)((char *)a[2].data + r * a[2].strides[0]) + left;
                for (ptrdiff_t j = 0; j < under; j++)
                    to[j] = (first ? to[j] : 0) + sums[r * under + j]; /* -0 becomes 0, as in BLAS */
            }
        }
    }
}

/* Copy `count` rows of 32 columns of b side by side. */
__attribute__((target("avx512f"))) static void copy_strip(const float *from, ptrdiff_t row, ptrdiff_t column, ptrdiff_t count, float *to)
{
    ptrdiff_t s = 0;
    if (column == 1) {
        for (; s < count; s++, from += row, to += WIDTH) {
            _mm512_storeu_ps(to, _mm512_loadu_ps(from));
            _mm512_storeu_ps(to + 16, _mm512_loadu_ps(from + 16));
        }
        return;
    }
    for (; s + 4 <= count; s += 4)
        for (int j = 0; j < WIDTH; j += 4) {
            const float *x = from + j * column + s * row;
            __m128 p = _mm_loadu_ps(x), q = _mm_loadu_ps(x + column), u = _mm_loadu_ps(x + 2 * column), v = _mm_loadu_ps(x + 3 * column);
            _MM_TRANSPOSE4_PS(p, q, u, v);
            float *y = to + s * WIDTH + j;
            _mm_storeu_ps(y, p), _mm_storeu_ps(y + WIDTH, q), _mm_storeu_ps(y + 2 * WIDTH, u), _mm_storeu_ps(y + 3 * WIDTH, v);
        }
    for (; s < count; s++)
        for (int j = 0; j < WIDTH; j++)
            to[s * WIDTH + j] = from[j * column + s * row];
}

/* All terms of a part for some rows and columns. */
__attribute__((target("avx512f"))) static void again(const gk_array *a)
{
    const ptrdiff_t m = a[2].shape[0], k = a[0].shape[1], n = a[2].shape[1], row = a[0].strides[0] / 4, column = a[0].strides[1] / 4;
    const ptrdiff_t down = a[1].strides[0] / 4, along = a[1].strides[1] / 4, under = a[2].strides[0] / 4, part = *(const int64_t *)a[3].data;
    const int across = along == 1 && k <= 64; /* the result is written row by row, if it may be large */
    const int copies = along != 1 || (!across && m >= 256);
    float strip[MOST_TERMS * WIDTH];
    const ptrdiff_t columns = n / WIDTH, tiles = m / HEIGHT * columns;
    for (ptrdiff_t first = 0, count; first < k; first += count) {
        count = terms(k - first, part);
        for (ptrdiff_t tile = 0; tile < tiles; tile++) {
            const ptrdiff_t r = (across ? tile / columns : tile % (m / HEIGHT)) * HEIGHT;
            const ptrdiff_t j = (across ? tile % columns : tile / (m / HEIGHT)) * WIDTH;
            const float *w = (const float *)a[1].data + first * down + j * along, *v = (const float *)a[0].data + r * row + first * column;
            float *to = (float *)a[2].data + r * under + j;
            __m512 p[HEIGHT], q[HEIGHT];
            if (copies && !r)
                copy_strip(w, down, along, count, strip);
            if (copies)
                w = strip;
            const ptrdiff_t next = copies ? WIDTH : down;
            SET(_mm512_setzero_ps())
            for (ptrdiff_t s = 0; s < count; s++, w += next, v += column)
                ADD_TERM(v, row)
            if (first)
                ADD(_mm512_loadu_ps(to + t * under), _mm512_loadu_ps(to + t * under + 16))
            else
                ADD(_mm512_setzero_ps(), _mm512_setzero_ps()) /* -0 becomes 0, as in BLAS */
            STORE
        }
    }
}

static void unpacked(const gk_array *a)
{
    (streams(a) ? once : again)(a);
}

const gk_kernel gk_unpacked = {"unpacked", "a~ b~ result!~ part():q", NULL, unpacked, NULL, serves};
#endif
