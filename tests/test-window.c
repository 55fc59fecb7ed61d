/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "execute/window-priv.h"

#include <imig/common.h>
#include <string.h>

enum { H0, H1, H2, H3 };

/*
 * A row is a small plan and what may begin: each letter of `script` is a step ('a' is step 0) that
 * must begin next, '.' means that nothing may begin now, "+a" that step a ends and moved its VM,
 * "-a" that it ends and did not, "~a" that step a is lost then.
 */
static const struct window_case {
    const char *name;
    uint32_t concurrency, max_parallel;
    size_t n;
    imig__window_step steps[5]; /* vm, from, to, group, planned start and end */
    const char *script;
} cases[] = {
    { "one out of and into each host at a time", 1, 0, 3,
      { { 0, H0, H1, 0, 0, 5 }, { 1, H0, H2, 1, 5, 9 }, { 2, H3, H1, 2, 5, 9 } },
      "a.+abc.+b+c." },
    { "two at a time where two are allowed", 2, 0, 3,
      { { 0, H0, H1, 0, 0, 5 }, { 1, H0, H1, 1, 0, 9 }, { 2, H0, H1, 2, 5, 9 } },
      "ab.+bc.+a." },
    { "a window, not batches: the short one makes room", 1, 0, 3,
      { { 0, H0, H1, 0, 0, 100 }, { 1, H2, H3, 1, 0, 1 }, { 2, H2, H3, 2, 1, 2 } },
      "ab.+bc.+c.+a." },
    { "no more in all than max_parallel, the earliest first", 9, 2, 4,
      { { 0, H0, H1, 0, 0, 5 }, { 1, H1, H2, 1, 0, 5 }, { 2, H2, H3, 2, 0, 5 },
        { 3, H3, H0, 3, 0, 5 } },
      "ab.+bc.+ad.+c+d." },
    { "the plan's order at a shared host, though the later one could go", 1, 0, 3,
      { { 0, H0, H1, 0, 0, 5 }, { 1, H0, H2, 1, 5, 9 }, { 2, H3, H2, 2, 9, 12 } },
      "a.+ab.+bc." },
    { "memory that the plan counted on must be free first", 2, 0, 2,
      { { 0, H1, H2, 0, 0, 5 }, { 1, H0, H1, 1, 5, 9 } },
      "a.+ab." },
    { "a leaver that was planned to be there still is not waited for", 2, 0, 2,
      { { 0, H1, H2, 0, 0, 5 }, { 1, H0, H1, 1, 4, 9 } },
      "ab." },
    { "both steps of a parked VM, one after the other", 1, 0, 3,
      { { 0, H0, H2, 0, 0, 5 }, { 1, H1, H0, 0, 5, 9 }, { 0, H2, H1, 0, 9, 12 } },
      "a.+ab.+bc." },
    { "times that run backwards lock nothing", 1, 0, 2,
      { { 0, H0, H1, 0, 9, 9 }, { 1, H1, H0, 1, 0, 0 } },
      "ab." },
    { "a VM that did not move loses its later steps", 1, 0, 2,
      { { 0, H0, H1, 0, 0, 5 }, { 0, H1, H2, 1, 5, 9 } },
      "a.-a~b." },
    { "and its group, which only makes sense together", 1, 0, 4,
      { { 0, H0, H1, 7, 0, 5 }, { 1, H0, H2, 7, 5, 9 }, { 2, H0, H2, 8, 9, 12 },
        { 1, H2, H3, 9, 12, 15 } },
      "a.-a~b~dc." },
    { "those of the group that have begun go on", 2, 0, 3,
      { { 0, H0, H1, 7, 0, 5 }, { 1, H0, H2, 7, 0, 9 }, { 2, H0, H1, 7, 5, 9 } },
      "ab.-a~c.+b." },
};

static uint32_t
step_of(char letter)
{
    return (uint32_t) (letter - 'a');
}

static void
window_follows_the_script(void **state)
{
    const struct window_case *c = *state;
    imig__window *w = imig__window_new(c->steps, c->n, c->concurrency, c->max_parallel);
    uint32_t because;

    for (const char *p = c->script; *p; p++)
        switch (*p) {
        case '.':
            assert_int_equal(imig__window_next(w), IMIG_NO_INDEX);
            assert_int_equal(imig__window_take_lost(w, &because), IMIG_NO_INDEX);
            break;
        case '+':
        case '-':
            imig__window_end(w, step_of(p[1]), *p == '+');
            p++;
            break;
        case '~':
            assert_int_equal(imig__window_take_lost(w, &because), step_of(*++p));
            break;
        default:
            assert_int_equal(imig__window_next(w), step_of(*p));
        }
    assert_int_equal(imig__window_take_waiting(w), IMIG_NO_INDEX);
    imig__window_free(w);
}

static void
a_leaver_that_stayed_puts_in_doubt_what_counted_on_it(void **state)
{
    static const imig__window_step steps[] = {
        { 0, H1, H2, 0, 0, 5 }, { 1, H0, H1, 1, 4, 9 }, { 2, H3, H1, 2, 9, 12 },
    };
    imig__window *w = imig__window_new(steps, 3, 2, 0);

    (void) state;
    assert_int_equal(imig__window_next(w), 0);
    assert_int_equal(imig__window_next(w), 1);
    imig__window_end(w, 0, FALSE);
    imig__window_end(w, 1, TRUE);
    assert_int_equal(imig__window_next(w), 2);
    assert_int_equal(imig__window_doubt(w, 1), IMIG_NO_INDEX); /* it was to be there still */
    assert_int_equal(imig__window_doubt(w, 2), 0);
    imig__window_free(w);
}

static void
what_waits_is_taken_once(void **state)
{
    static const imig__window_step steps[] = {
        { 0, H0, H1, 0, 0, 5 }, { 1, H0, H1, 1, 5, 9 }, { 2, H0, H1, 2, 9, 12 },
    };
    imig__window *w = imig__window_new(steps, 3, 1, 0);

    (void) state;
    assert_int_equal(imig__window_next(w), 0);
    assert_int_equal(imig__window_take_waiting(w), 1);
    assert_int_equal(imig__window_take_waiting(w), 2);
    assert_int_equal(imig__window_take_waiting(w), IMIG_NO_INDEX);
    imig__window_end(w, 0, TRUE);
    assert_int_equal(imig__window_next(w), IMIG_NO_INDEX);
    imig__window_free(w);
}

/*
 * 50,000 steps through one pair of hosts and 50,000 across many: every step begins once, in the
 * plan's order.  A scan over all steps at each would not end within the time limit of the test.
 */
static void
many_steps_are_no_burden(void **state)
{
    enum { N = 50000 };
    imig__window_step *steps = g_new0(imig__window_step, N);

    (void) state;
    for (uint32_t hosts = 2; hosts <= 1000; hosts += 998) {
        imig__window *w;
        uint32_t oldest = 0, begun = 0, step;
        GQueue running = G_QUEUE_INIT;

        for (uint32_t i = 0; i < N; i++)
            steps[i] = (imig__window_step) {
                .vm = i, .from = i % hosts, .to = (i + 1) % hosts, .group = i,
                .start_s = i, .end_s = i + 1,
            };
        w = imig__window_new(steps, N, 1, 0);
        do {
            while ((step = imig__window_next(w)) != IMIG_NO_INDEX) {
                g_queue_push_tail(&running, GUINT_TO_POINTER(step));
                begun++;
            }
            step = GPOINTER_TO_UINT(g_queue_pop_head(&running));
            assert_true(step >= oldest);
            oldest = step;
            imig__window_end(w, step, TRUE);
        } while (!g_queue_is_empty(&running) || begun < N);
        assert_int_equal(begun, N);
        assert_int_equal(imig__window_take_waiting(w), IMIG_NO_INDEX);
        imig__window_free(w);
    }
    g_free(steps);
}

int
main(void)
{
    enum { ROWS = sizeof cases / sizeof *cases };
    struct CMUnitTest tests[ROWS + 3];

    for (size_t i = 0; i < ROWS; i++)
        tests[i] = (struct CMUnitTest) {
            .name = cases[i].name, .test_func = window_follows_the_script,
            .initial_state = (void *) &cases[i],
        };
    tests[ROWS] = (struct CMUnitTest) cmocka_unit_test(
        a_leaver_that_stayed_puts_in_doubt_what_counted_on_it);
    tests[ROWS + 1] = (struct CMUnitTest) cmocka_unit_test(what_waits_is_taken_once);
    tests[ROWS + 2] = (struct CMUnitTest) cmocka_unit_test(many_steps_are_no_burden);
    return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
