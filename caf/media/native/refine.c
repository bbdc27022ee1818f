/* A similarity fitted to what most points agree on, see caf/engines/similarity.py: least squares, weighted again and
 * again by how far each point is off (Tukey's biweight). */
#include "native.h"

#include <complex.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#define FEWEST 3

typedef double complex Place;

typedef struct {
    Place factor, shift; /* z -> factor z + shift */
} Turn;

typedef struct {
    const Place *old, *new;
    const double *worth; /* how much each counts */
    Py_ssize_t count;
    double floor, tukey, settled, reach;
    int rounds;
} Fit;

static void swap(double *values, Py_ssize_t one, Py_ssize_t other)
{
    double kept = values[one];
    values[one] = values[other], values[other] = kept;
}

/* The value of that rank; none larger stays before it and none smaller behind (C. A. R. Hoare, 1961). */
static double ranked(double *values, Py_ssize_t count, Py_ssize_t rank)
{
    Py_ssize_t first = 0, last = count - 1;
    while (first < last) {
        Py_ssize_t middle = first + (last - first) / 2, low = first, high = last;
        double pivot = values[middle];
        while (low <= high) {
            while (values[low] < pivot)
                low++;
            while (values[high] > pivot)
                high--;
            if (low <= high)
                swap(values, low++, high--);
        }
        if (rank <= high)
            last = high;
        else if (rank >= low)
            first = low;
        else
            break;
    }
    return values[rank];
}

static double size_of(Place place)
{
    return sqrt(creal(place) * creal(place) + cimag(place) * cimag(place));
}

/* Products written out: C's own look after infinities, which do not come here. */
static Place product(Place one, Place other)
{
    return CMPLX(creal(one) * creal(other) - cimag(one) * cimag(other),
                 creal(one) * cimag(other) + cimag(one) * creal(other));
}

static double off(const Fit *fit, Turn turn, Py_ssize_t each)
{
    return size_of(product(turn.factor, fit->old[each]) + turn.shift - fit->new[each]);
}

/* Closed form of the weighted similarity: Umeyama 1991, without reflection. */
static Turn least_squares(const Fit *fit, const double *weight)
{
    double total = 0, power = 0;
    Place mean_old = 0, mean_new = 0, both = 0;
    for (Py_ssize_t each = 0; each < fit->count; each++) {
        total += weight[each];
        mean_old += weight[each] * fit->old[each], mean_new += weight[each] * fit->new[each];
    }
    mean_old /= total, mean_new /= total;
    for (Py_ssize_t each = 0; each < fit->count; each++) {
        if (weight[each] <= 0)
            continue;
        Place from_old = fit->old[each] - mean_old, from_new = fit->new[each] - mean_new;
        power += weight[each] * creal(product(conj(from_old), from_old));
        both += weight[each] * product(conj(from_old), from_new);
    }
    Place factor = both / (power > 1e-9 ? power : 1e-9);
    return (Turn){factor, mean_new - product(factor, mean_old)};
}

static Turn refine(const Fit *fit, Turn turn, uint8_t *held, double *work)
{
    double *error = work, *some = work + fit->count, *weight = some;
    for (int round = 0; round < fit->rounds; round++) {
        Py_ssize_t members = 0;
        for (Py_ssize_t each = 0; each < fit->count; each++) {
            error[each] = off(fit, turn, each);
            if (held[each])
                some[members++] = error[each];
        }
        double scale = members ? fit->tukey * ranked(some, members, members / 2) : 0;
        scale = scale > fit->floor ? scale : fit->floor;
        members = 0;
        for (Py_ssize_t each = 0; each < fit->count; each++) {
            double share = error[each] / scale, left = 1 - share * share;
            held[each] = left > 0;
            weight[each] = left > 0 ? left * left * fit->worth[each] : 0;
            members += held[each];
        }
        if (members < FEWEST)
            break;
        Turn before = turn;
        turn = least_squares(fit, weight);
        if (size_of(turn.shift - before.shift) + fit->reach * size_of(turn.factor - before.factor) < fit->settled)
            break;
    }
    return turn;
}

PyObject *refined(PyObject *Py_UNUSED(module), PyObject *args)
{
    Py_buffer old, new, held, worth;
    double factor[2], shift[2];
    Fit fit;
    if (!PyArg_ParseTuple(args, "(dddd)y*y*w*y*idddd", factor, factor + 1, shift, shift + 1, &old, &new, &held,
                          &worth, &fit.rounds, &fit.floor, &fit.tukey, &fit.settled, &fit.reach))
        return NULL;
    Turn turn = {CMPLX(factor[0], factor[1]), CMPLX(shift[0], shift[1])};
    double *work = NULL;
    fit.old = old.buf, fit.new = new.buf, fit.worth = worth.buf, fit.count = held.len;
    if (old.len != fit.count * (Py_ssize_t)sizeof(Place) || new.len != old.len ||
        worth.len != fit.count * (Py_ssize_t)sizeof(double))
        PyErr_SetString(PyExc_ValueError, "as many places before as after, and as many flags and weights");
    else if ((work = malloc((2 * (size_t)fit.count + 1) * sizeof(double))) == NULL)
        PyErr_NoMemory();
    else
        turn = refine(&fit, turn, held.buf, work);
    free(work);
    PyBuffer_Release(&old);
    PyBuffer_Release(&new);
    PyBuffer_Release(&held);
    PyBuffer_Release(&worth);
    if (PyErr_Occurred())
        return NULL;
    return Py_BuildValue("(dddd)", creal(turn.factor), cimag(turn.factor), creal(turn.shift), cimag(turn.shift));
}
