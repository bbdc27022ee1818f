/* Features followed from one picture into another, see caf/engines/follow.py: Lucas and Kanade's least squares (J.-Y.
 * Bouguet, 2001), a level at a time, with OpenCV's window, gradients and ends.
 *
 * Eight numbers at a time in a fixed order, without multiplying and adding in one: what AVX2 gives is what any
 * processor gives, to the bit. */
#include "native.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#define LANES 8
#define WIDEST 16 /* px of a window, two rows of lanes */
#define PADDING 32 /* px around a level: a window lies outside by its width at most, and three rows of lanes are read */
#define NO_TEXTURE 0.1024f /* the least mean square gradient, in levels, across the direction that shows least */
#define CLOSE_PX 0.01f
#define ROW (3 * LANES)

#pragma GCC diagnostic ignored "-Wpsabi" /* all that passes these is inlined */
typedef float lanes __attribute__((vector_size(4 * LANES)));

typedef struct {
    const float *before, *after; /* the first pixel of the picture within its padding */
    int64_t width, height, stride;
    int window, rounds;
    float close; /* squared */
} Level;

typedef struct {
    float x, y;
} Place;

/* A window's pixels, and how they change to the right and down. */
typedef struct {
    float shown[WIDEST][WIDEST], right[WIDEST][WIDEST], down[WIDEST][WIDEST];
} Looks;

typedef struct {
    int64_t column, row;
    float right, down; /* how far on of a pixel */
} Corner;

#define INLINE static inline __attribute__((always_inline))

INLINE lanes load(const float *from)
{
    lanes found;
    memcpy(&found, from, sizeof found);
    return found;
}

INLINE void store(float *to, lanes from)
{
    memcpy(to, &from, sizeof from);
}

INLINE float sum_of(lanes from)
{
    return ((from[0] + from[4]) + (from[2] + from[6])) + ((from[1] + from[5]) + (from[3] + from[7]));
}

INLINE lanes across(const float *from, float right)
{
    lanes here = load(from);
    return here + right * (load(from + 1) - here);
}

/* Whether the window is so far out that nothing of the picture is in it. */
INLINE int is_outside(const Level *level, Corner corner)
{
    return corner.column < -level->window || corner.column >= level->width || corner.row < -level->window ||
           corner.row >= level->height;
}

INLINE Corner corner_of(const Level *level, Place place)
{
    const float half = (float)(level->window - 1) * 0.5f, far = 1e6f;
    float x = place.x - half, y = place.y - half;
    if (!(fabsf(x) < far && fabsf(y) < far))
        return (Corner){.column = level->width, .row = level->height};
    float column = floorf(x), row = floorf(y);
    return (Corner){(int64_t)column, (int64_t)row, x - column, y - row};
}

/* Fills what the window looks like. What lies outside of the picture has no gradient, and does not count. */
INLINE void look(const Level *level, Corner corner, Looks *looks)
{
    float around[WIDEST + 2][ROW], inside[WIDEST];
    const int window = level->window;
    const float *from = level->before + (corner.row - 1) * level->stride + corner.column - 1;
    lanes above[3], below[3];
    for (int part = 0; part < 3; part++)
        above[part] = across(from + part * LANES, corner.right);
    for (int row = 0; row < window + 2; row++) {
        from += level->stride;
        for (int part = 0; part < 3; part++) {
            below[part] = across(from + part * LANES, corner.right);
            store(around[row] + part * LANES, above[part] + corner.down * (below[part] - above[part]));
            above[part] = below[part];
        }
    }
    for (int column = 0; column < WIDEST; column++) {
        int64_t at = corner.column + column;
        inside[column] = column < window && at >= 0 && at < level->width ? 1.0f / 32 : 0;
    }
    for (int row = 0; row < window; row++) {
        int64_t at = corner.row + row;
        float counts = at >= 0 && at < level->height ? 1 : 0;
        const float *up = around[row], *here = around[row + 1], *low = around[row + 2];
        for (int part = 0; part < WIDEST; part += LANES) {
            lanes weight = counts * load(inside + part);
            lanes left = 3 * (load(up + part) + load(low + part)) + 10 * load(here + part);
            lanes right = 3 * (load(up + part + 2) + load(low + part + 2)) + 10 * load(here + part + 2);
            lanes beside = (load(low + part) - load(up + part)) + (load(low + part + 2) - load(up + part + 2));
            lanes down = 3 * beside + 10 * (load(low + part + 1) - load(up + part + 1));
            store(looks->shown[row] + part, load(here + part + 1));
            store(looks->right[row] + part, weight * (right - left));
            store(looks->down[row] + part, weight * down);
        }
    }
}

/* How far the window at `corner` of the picture after is from the looks, along both gradients. */
INLINE Place apart(const Level *level, Corner corner, const Looks *looks)
{
    lanes by_right = {0}, by_down = {0}, above[2];
    const float *from = level->after + corner.row * level->stride + corner.column;
    for (int part = 0; part < 2; part++)
        above[part] = across(from + part * LANES, corner.right);
    for (int row = 0; row < level->window; row++) {
        from += level->stride;
        for (int part = 0; part < 2; part++) {
            lanes below = across(from + part * LANES, corner.right);
            lanes gone = above[part] + corner.down * (below - above[part]) - load(looks->shown[row] + part * LANES);
            by_right += gone * load(looks->right[row] + part * LANES);
            by_down += gone * load(looks->down[row] + part * LANES);
            above[part] = below;
        }
    }
    return (Place){sum_of(by_right), sum_of(by_down)};
}

/* Moves `there` to where what is at `start` went; whether it could be seen. */
INLINE int follow_one(const Level *level, Place start, Place *there)
{
    Looks looks;
    Corner corner = corner_of(level, start);
    if (is_outside(level, corner))
        return 0;
    look(level, corner, &looks);
    lanes xx = {0}, xy = {0}, yy = {0};
    for (int row = 0; row < level->window; row++)
        for (int part = 0; part < WIDEST; part += LANES) {
            lanes right = load(looks.right[row] + part), down = load(looks.down[row] + part);
            xx += right * right, xy += right * down, yy += down * down;
        }
    float across_ = sum_of(xx), both = sum_of(xy), along = sum_of(yy);
    float area = (float)(level->window * level->window), apart_ = across_ - along;
    float least = (across_ + along - sqrtf(apart_ * apart_ + 4 * both * both)) / (2 * area);
    float power = across_ * along - both * both;
    if (!(least >= NO_TEXTURE) || !(power > 0))
        return 0;
    Place now = *there, before = {0, 0};
    for (int round = 0; round < level->rounds; round++) {
        corner = corner_of(level, now);
        if (is_outside(level, corner))
            return 0;
        Place gone = apart(level, corner, &looks);
        Place step = {(both * gone.y - along * gone.x) / power, (both * gone.x - across_ * gone.y) / power};
        now.x += step.x, now.y += step.y;
        *there = now;
        if (step.x * step.x + step.y * step.y <= level->close)
            break;
        if (round && fabsf(step.x + before.x) < CLOSE_PX && fabsf(step.y + before.y) < CLOSE_PX) {
            /* It goes to and fro between two places. */
            there->x -= step.x * 0.5f, there->y -= step.y * 0.5f;
            break;
        }
        before = step;
    }
    return !is_outside(level, corner_of(level, *there));
}

typedef void (*Follower)(const Level *, Py_ssize_t, const Place *, Place *, uint8_t *);

INLINE void follow_each(const Level *level, Py_ssize_t count, const Place *start, Place *there, uint8_t *seen)
{
    for (Py_ssize_t each = 0; each < count; each++)
        seen[each] = (uint8_t)follow_one(level, start[each], there + each);
}

static void follow_anyhow(const Level *level, Py_ssize_t count, const Place *start, Place *there, uint8_t *seen)
{
    follow_each(level, count, start, there, seen);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void follow_by_avx2(const Level *level, Py_ssize_t count, const Place *start,
                                                           Place *there, uint8_t *seen)
{
    follow_each(level, count, start, there, seen);
}
#endif

static Follower fastest(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        return follow_by_avx2;
#endif
    return follow_anyhow;
}

static PyObject *followed_by(PyObject *args, Follower follower)
{
    Py_buffer before, after, start, there, seen;
    Py_ssize_t width, height;
    Level level;
    if (!PyArg_ParseTuple(args, "y*y*nny*w*w*iif", &before, &after, &width, &height, &start, &there, &seen,
                          &level.window, &level.rounds, &level.close))
        return NULL;
    Py_ssize_t count = seen.len, bytes = (Py_ssize_t)sizeof(Place);
    const Py_ssize_t most = 1 << 16;
    if (width < 1 || height < 1 || width > most || height > most || level.window < 1 || level.window > WIDEST ||
        before.len != (width + 2 * PADDING) * (height + 2 * PADDING) * (Py_ssize_t)sizeof(float) ||
        after.len != before.len || start.len != count * bytes || there.len != count * bytes) {
        PyErr_SetString(PyExc_ValueError, "two levels of that size with their padding, and as many places as flags");
    } else {
        level.width = width, level.height = height, level.stride = width + 2 * PADDING;
        level.close *= level.close;
        Py_ssize_t first = PADDING * level.stride + PADDING;
        level.before = (const float *)before.buf + first, level.after = (const float *)after.buf + first;
        Py_BEGIN_ALLOW_THREADS
        follower(&level, count, start.buf, there.buf, seen.buf);
        Py_END_ALLOW_THREADS
    }
    PyBuffer_Release(&before);
    PyBuffer_Release(&after);
    PyBuffer_Release(&start);
    PyBuffer_Release(&there);
    PyBuffer_Release(&seen);
    if (PyErr_Occurred())
        return NULL;
    Py_RETURN_NONE;
}

PyObject *followed(PyObject *Py_UNUSED(module), PyObject *args)
{
    return followed_by(args, fastest());
}

PyObject *followed_anyhow(PyObject *Py_UNUSED(module), PyObject *args)
{
    return followed_by(args, follow_anyhow);
}
