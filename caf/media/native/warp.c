/* A picture moved by a similarity, see caf/engines/warp.py.
 *
 * Cubic convolution (R. G. Keys, IEEE ASSP 29, 1981) with OpenCV's sharpness of -0.75, at 128 places between two
 * pixels, in whole numbers: what AVX2 gives is what the plain loop gives, to the bit. */
#include "native.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define HAS_AVX2 1
#else
#define HAS_AVX2 0
#endif

#define PLACES 128
#define PLACE_BITS 7
#define WEIGHT_BITS 14
#define KEPT_BITS 6 /* below the point, between the two directions: 255 * 1.3 * 2^6 fits 16 bits */
#define TAPS 4
/* Half a level, and what cutting off the bits between the two directions has taken: half of the last one kept. */
#define LAST_HALF ((1 << (WEIGHT_BITS + KEPT_BITS - 1)) + (1 << (WEIGHT_BITS - 1)))

static int16_t WEIGHTS[PLACES][TAPS];
/* The same for rows 0 and 1, and 2 and 3, as AVX2 wants them: each weight in every other of eight lanes. */
static int16_t DOWN[PLACES][2][16];

static double cubic(double away)
{
    const double a = -0.75;
    away = fabs(away);
    if (away < 1)
        return ((a + 2) * away - (a + 3)) * away * away + 1;
    return away < 2 ? (((away - 5) * away + 8) * away - 4) * a : 0;
}

void make_weights(void)
{
    for (int place = 0; place < PLACES; place++) {
        int sum = 0;
        for (int tap = 0; tap < TAPS; tap++) {
            double weight = cubic(tap - 1 - place / (double)PLACES);
            WEIGHTS[place][tap] = (int16_t)lrint(weight * (1 << WEIGHT_BITS));
            sum += WEIGHTS[place][tap];
        }
        WEIGHTS[place][place < PLACES / 2 ? 1 : 2] += (int16_t)((1 << WEIGHT_BITS) - sum);
        for (int lane = 0; lane < 16; lane += 2)
            for (int rows = 0; rows < 2; rows++)
                DOWN[place][rows][lane] = WEIGHTS[place][2 * rows + lane / 8];
    }
}

typedef struct {
    const uint8_t *from;
    uint8_t *to;
    int64_t width, height;
    double back[6]; /* from a place in the moved picture to one in the picture, row by row */
} Move;

/* A place in fixed point: the pixel before it, and how far on of 128. */
typedef struct {
    int64_t pixel;
    int place;
} Where;

static inline Where where(int64_t fixed)
{
    int64_t rounded = fixed + (1LL << (31 - PLACE_BITS));
    return (Where){rounded >> 32, (int)(rounded >> (32 - PLACE_BITS)) & (PLACES - 1)};
}

/* Beyond the rim the picture is mirrored, without its last pixel being doubled. */
static inline int64_t mirrored(int64_t at, int64_t size)
{
    if (at >= 0 && at < size)
        return at;
    if (size == 1)
        return 0;
    int64_t period = 2 * (size - 1);
    at %= period;
    at = at < 0 ? at + period : at;
    return at < size ? at : period - at;
}

static void pixel_anywhere(const Move *move, Where x, Where y, uint8_t *to)
{
    int64_t columns[TAPS];
    int32_t sums[3] = {0, 0, 0};
    for (int tap = 0; tap < TAPS; tap++)
        columns[tap] = 3 * mirrored(x.pixel + tap - 1, move->width);
    for (int row = 0; row < TAPS; row++) {
        const uint8_t *line = move->from + 3 * move->width * mirrored(y.pixel + row - 1, move->height);
        for (int channel = 0; channel < 3; channel++) {
            int32_t sum = 0;
            for (int tap = 0; tap < TAPS; tap++)
                sum += line[columns[tap] + channel] * WEIGHTS[x.place][tap];
            sums[channel] += (sum >> (WEIGHT_BITS - KEPT_BITS)) * WEIGHTS[y.place][row];
        }
    }
    for (int channel = 0; channel < 3; channel++) {
        int32_t level = (sums[channel] + LAST_HALF) >> (WEIGHT_BITS + KEPT_BITS);
        to[channel] = (uint8_t)(level < 0 ? 0 : level > 255 ? 255 : level);
    }
}

/* The columns from `first` on and before `stop` of a row. */
static void some_anyhow(const Move *move, int64_t row, int64_t x, int64_t y, int64_t x_step, int64_t y_step,
                        int64_t first, int64_t stop)
{
    uint8_t *to = move->to + 3 * move->width * row;
    for (int64_t column = first; column < stop; column++)
        pixel_anywhere(move, where(x + x_step * column), where(y + y_step * column), to + 3 * column);
}

static void row_anyhow(const Move *move, int64_t row, int64_t x, int64_t y, int64_t x_step, int64_t y_step)
{
    some_anyhow(move, row, x, y, x_step, y_step, 0, move->width);
}

#if HAS_AVX2
/* Two weights that follow each other, as the instruction that multiplies and adds pairs wants them. */
__attribute__((target("avx2"))) static inline __m256i pair_at(const int16_t *weights)
{
    int32_t pair;
    memcpy(&pair, weights, sizeof pair);
    return _mm256_set1_epi32(pair);
}

/* Two rows at once, the first in the lower half: blue, green and red of each with 6 bits below the point. */
__attribute__((target("avx2"))) static inline __m256i two_rows(const uint8_t *first, const uint8_t *second,
                                                               __m256i near, __m256i far)
{
    const __m256i left = _mm256_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1, 0, -1, 3, -1, 1,
                                          -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1);
    const __m256i right = _mm256_setr_epi8(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1, 6, -1, 9, -1,
                                           7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1);
    __m256i both = _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)first)),
                                           _mm_loadu_si128((const __m128i *)second), 1);
    __m256i sum = _mm256_add_epi32(_mm256_madd_epi16(_mm256_shuffle_epi8(both, left), near),
                                   _mm256_madd_epi16(_mm256_shuffle_epi8(both, right), far));
    return _mm256_srai_epi32(sum, WEIGHT_BITS - KEPT_BITS);
}

/* Of n from `from` on and before `to` keep those where `first + step * n` is at least `least`. */
static void narrow(int64_t first, int64_t step, int64_t least, int64_t *from, int64_t *to)
{
    if (step == 0) {
        if (first < least)
            *to = *from;
        return;
    }
    int64_t gap = least - first;
    if (step > 0) {
        int64_t start = gap > 0 ? (gap - 1) / step + 1 : 0;
        *from = start > *from ? start : *from;
    } else {
        int64_t stop = gap > 0 ? 0 : gap / step + 1;
        *to = stop < *to ? stop : *to;
    }
}

__attribute__((target("avx2"))) static void row_by_avx2(const Move *move, int64_t row, int64_t x, int64_t y,
                                                        int64_t x_step, int64_t y_step)
{
    const int64_t line = 3 * move->width, half = 1LL << (31 - PLACE_BITS);
    uint8_t *to = move->to + line * row;
    /* Where all sixteen pixels are in the picture, and sixteen bytes from each first one are: four pixels are twelve. */
    int64_t start = 0, stop = move->width;
    narrow(x, x_step, (1LL << 32) - half, &start, &stop);
    narrow(-x, -x_step, -(move->width - 4) * (1LL << 32) + half + 1, &start, &stop);
    narrow(y, y_step, (1LL << 32) - half, &start, &stop);
    narrow(-y, -y_step, -(move->height - 2) * (1LL << 32) + half + 1, &start, &stop);
    start = start < stop ? start : move->width, stop = start < move->width ? stop : move->width;
    some_anyhow(move, row, x, y, x_step, y_step, 0, start);
    int64_t across = x + x_step * start + half, down = y + y_step * start + half;
    const uint8_t *origin = move->from - line - 3;
    for (int64_t column = start; column < stop; column++, across += x_step, down += y_step) {
        const uint8_t *from = origin + line * (down >> 32) + 3 * (across >> 32);
        const int16_t *weights = WEIGHTS[across >> (32 - PLACE_BITS) & (PLACES - 1)];
        __m256i near = pair_at(weights), far = pair_at(weights + 2);
        __m256i above = two_rows(from, from + line, near, far);
        __m256i below = two_rows(from + 2 * line, from + 3 * line, near, far);
        /* What fits 16 bits is multiplied as the lower half of 32, and the upper half by nothing. */
        const __m256i *rows = (const __m256i *)DOWN[down >> (32 - PLACE_BITS) & (PLACES - 1)];
        __m256i both = _mm256_add_epi32(_mm256_madd_epi16(above, _mm256_loadu_si256(rows)),
                                        _mm256_madd_epi16(below, _mm256_loadu_si256(rows + 1)));
        __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
        sum = _mm_srai_epi32(_mm_add_epi32(sum, _mm_set1_epi32(LAST_HALF)), WEIGHT_BITS + KEPT_BITS);
        sum = _mm_packus_epi16(_mm_packus_epi32(sum, sum), sum);
        int32_t levels = _mm_cvtsi128_si32(sum);
        memcpy(to + 3 * column, &levels, column + 1 < move->width ? 4 : 3);
    }
    some_anyhow(move, row, x, y, x_step, y_step, stop, move->width);
}
#endif

typedef void (*RowMover)(const Move *, int64_t, int64_t, int64_t, int64_t, int64_t);

static int64_t fixed_of(double value)
{
    return (int64_t)llrint(value * 4294967296.0);
}

static void move_rows(const Move *move, RowMover mover)
{
    const double *back = move->back;
    for (int64_t row = 0; row < move->height; row++)
        mover(move, row, fixed_of(back[1] * (double)row + back[2]), fixed_of(back[4] * (double)row + back[5]),
              fixed_of(back[0]), fixed_of(back[3]));
}

static RowMover fastest(void)
{
#if HAS_AVX2
    if (__builtin_cpu_supports("avx2"))
        return row_by_avx2;
#endif
    return row_anyhow;
}

/* No place may lie so far out that a fixed point of 32 and 32 bits cannot tell it. */
static int within_reach(const Move *move)
{
    for (int corner = 0; corner < 4; corner++) {
        double x = corner & 1 ? (double)move->width : 0, y = corner & 2 ? (double)move->height : 0;
        for (int row = 0; row < 2; row++) {
            double at = move->back[3 * row] * x + move->back[3 * row + 1] * y + move->back[3 * row + 2];
            if (!(fabs(at) < 1e9))
                return 0;
        }
    }
    return 1;
}

static PyObject *moved_by(PyObject *args, RowMover mover)
{
    Py_buffer from, to;
    Move move;
    Py_ssize_t width, height;
    double *back = move.back;
    if (!PyArg_ParseTuple(args, "y*w*nn(dddddd)", &from, &to, &width, &height, back, back + 1, back + 2, back + 3,
                          back + 4, back + 5))
        return NULL;
    move.from = from.buf, move.to = to.buf, move.width = width, move.height = height;
    if (width < 1 || height < 1 || width > 1 << 20 || height > 1 << 20 || from.len != 3 * width * height ||
        to.len != from.len || !within_reach(&move)) {
        PyErr_SetString(PyExc_ValueError, "two pictures of that size, and a move that is finite");
    } else {
        Py_BEGIN_ALLOW_THREADS
        move_rows(&move, mover);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&from);
    PyBuffer_Release(&to);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

PyObject *moved(PyObject *Py_UNUSED(module), PyObject *args)
{
    return moved_by(args, fastest());
}

PyObject *moved_anyhow(PyObject *Py_UNUSED(module), PyObject *args)
{
    return moved_by(args, row_anyhow);
}
