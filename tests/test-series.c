/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Rates from the readings of one counter. */

#include "observe/series-priv.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

typedef struct reading {
    double time_s, counter; /* NaN as time: not seen in this sample; NaN as counter: not counted */
    gboolean broken;
} reading;

static const struct series_case {
    const char *name;
    uint32_t window;
    reading readings[6];
    size_t n;
    double rate, standard_error; /* NaN as rate: none */
} series_cases[] = {
    { "one reading is no rate", 5, { { 0, 5, 0 } }, 1, NAN, 0 },
    { "two readings make a rate, and no error", 5, { { 0, 5, 0 }, { 10, 25, 0 } }, 2, 2, 0 },
    { "its own time counts, not the interval", 5, { { 0, 0, 0 }, { 8, 16, 0 } }, 2, 2, 0 },
    { "a constant rate has no error", 5,
      { { 0, 0, 0 }, { 10, 20, 0 }, { 20, 40, 0 }, { 30, 60, 0 } }, 4, 2, 0 },
    { "the error is that of the mean of the intervals", 5,
      { { 0, 0, 0 }, { 10, 10, 0 }, { 20, 40, 0 } }, 3, 2, 1 },
    { "longer intervals weigh more", 5, { { 0, 0, 0 }, { 30, 30, 0 }, { 40, 80, 0 } }, 3, 2,
      1.7320508075688772 },
    { "a counter that fell began anew: that interval is dropped", 5,
      { { 0, 100, 0 }, { 10, 120, 0 }, { 20, 5, 0 }, { 30, 25, 0 } }, 4, 2, 0 },
    { "so is an interval that is broken, by a move", 5,
      { { 0, 0, 0 }, { 10, 20, 0 }, { 20, 900, 1 }, { 30, 920, 0 } }, 4, 2, 0 },
    { "after a move only the new host counts", 5,
      { { 0, 0, 0 }, { 10, 50, 0 }, { 20, 100, 0 }, { 30, 3, 1 }, { 40, 23, 0 } }, 5, 2, 0 },
    { "as long as that has no interval the old one does", 5,
      { { 0, 0, 0 }, { 10, 20, 0 }, { 20, 40, 0 }, { 30, 3, 1 } }, 4, 2, 0 },
    { "a move to a clock that is behind", 5,
      { { 1000, 0, 0 }, { 1010, 50, 0 }, { 20, 3, 1 }, { 30, 23, 0 } }, 4, 2, 0 },
    { "a clock and counters that began anew", 5,
      { { 1000, 0, 0 }, { 1010, 20, 0 }, { 20, 3, 0 }, { 30, 23, 0 } }, 4, 2, 0 },
    { "counted later than a move", 5,
      { { 0, 0, 0 }, { 10, 50, 0 }, { 20, NAN, 1 }, { 30, NAN, 0 }, { 40, 5, 0 }, { 50, 25, 0 } },
      6, 2, 0 },
    { "time that stands still is no interval", 5,
      { { 0, 0, 0 }, { 0, 50, 0 }, { 10, 20, 0 } }, 3, 2, 0 },
    { "time that goes back is none either", 5,
      { { 10, 0, 0 }, { 5, 50, 0 }, { 20, 20, 0 } }, 3, 2, 0 },
    { "one that was away meanwhile goes on", 5,
      { { 0, 0, 0 }, { NAN, 0, 0 }, { 20, 40, 0 } }, 3, 2, 0 },
    { "what is not counted at one end has no rate", 5,
      { { 0, NAN, 0 }, { 10, 20, 0 } }, 2, NAN, 0 },
    { "older intervals than the window are forgotten", 2,
      { { 0, 0, 0 }, { 10, 900, 0 }, { 20, 920, 0 }, { 30, 940, 0 } }, 4, 2, 0 },
    { "after a window away it is another thing", 2,
      { { 0, 0, 0 }, { 10, 20, 0 }, { NAN, 0, 0 }, { NAN, 0, 0 } }, 4, NAN, 0 },
};

static void
counters_become_a_rate(void **state)
{
    const struct series_case *c = *state;
    imig__series *series = imig__series_new(1, c->window);
    uint32_t slot = IMIG_NO_INDEX;
    double rate = NAN, error = 0;

    for (size_t i = 0; i < c->n; i++) {
        imig__series_begin(series);
        if (isnan(c->readings[i].time_s))
            continue;
        if (slot == IMIG_NO_INDEX)
            slot = imig__series_take(series);
        imig__series_add(series, slot, c->readings[i].time_s, &c->readings[i].counter,
                         c->readings[i].broken);
    }
    if (!imig__series_rate(series, slot, 0, &rate, &error))
        rate = NAN;
    assert_int_equal(isnan(rate), isnan(c->rate));
    if (!isnan(c->rate)) {
        assert_true(fabs(rate - c->rate) < 1e-12);
        assert_true(fabs(error - c->standard_error) < 1e-12);
    }
    imig__series_free(series);
}

static void
a_slot_is_given_on_only_after_a_window(void **state)
{
    imig__series *series = imig__series_new(1, 3);
    double counter = 0, unused;
    uint32_t slot, other;

    (void) state;
    imig__series_begin(series);
    slot = imig__series_take(series);
    imig__series_add(series, slot, 0, &counter, FALSE);
    for (int i = 0; i < 3; i++) {
        imig__series_begin(series);
        assert_false(imig__series_expire(series, slot));
    }
    imig__series_begin(series);
    assert_true(imig__series_expire(series, slot));
    other = imig__series_take(series);
    assert_int_equal(other, slot);
    counter = 1000;
    imig__series_add(series, other, 40, &counter, FALSE);
    assert_false(imig__series_rate(series, other, 0, &unused, &unused)); /* not from the old one */
    imig__series_free(series);
}

int
main(void)
{
    const struct CMUnitTest single[] = {
        cmocka_unit_test(a_slot_is_given_on_only_after_a_window),
    };
    enum { SINGLE = sizeof single / sizeof *single };
    struct CMUnitTest tests[SINGLE + G_N_ELEMENTS(series_cases)];
    size_t n = SINGLE;

    memcpy(tests, single, sizeof single);
    for (size_t i = 0; i < G_N_ELEMENTS(series_cases); i++)
        tests[n++] = (struct CMUnitTest) {
            .name = series_cases[i].name, .test_func = counters_become_a_rate,
            .initial_state = (void *) &series_cases[i],
        };
    return cmocka_run_group_tests_name("series", tests, NULL, NULL);
}
