/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/base-priv.h"

#include <imig/cancel.h>
#include <imig/common.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

/* ---- structs that grow: doc/abi.md ---- */

typedef struct first { size_t size; double a; } first;             /* release 1 */
typedef struct today { size_t size; double a, b; } today;          /* this library */
typedef struct later { size_t size; double a, b, c; } later;       /* a newer caller */

static void
an_old_caller_s_missing_tail_is_zero(void **state)
{
    first old = { sizeof old, 1.5 };
    today got = { 0, 9, 9 };
    imig_error *error = NULL;

    (void) state;
    assert_int_equal(imig__copy_struct(&got, sizeof got, &old, sizeof(first), &error), IMIG_OK);
    assert_null(error);
    assert_true(got.a == 1.5);
    assert_true(got.b == 0.0);
}

static void
a_new_caller_s_zero_tail_is_fine(void **state)
{
    later new = { sizeof new, 1, 2, 0 };
    today got;

    (void) state;
    assert_int_equal(imig__copy_struct(&got, sizeof got, &new, sizeof(first), NULL), IMIG_OK);
    assert_true(got.a == 1 && got.b == 2);
}

static void
a_new_caller_s_unknown_wish_is_refused(void **state)
{
    later new = { sizeof new, 1, 2, 3 };
    today got;
    imig_error *error = NULL;

    (void) state;
    assert_int_equal(imig__copy_struct(&got, sizeof got, &new, sizeof(first), &error),
                     IMIG_ERR_ABI);
    assert_int_equal(imig_error_code(error), IMIG_ERR_ABI);
    imig_error_free(error);
}

static void
null_means_the_defaults(void **state)
{
    today got = { 9, 9, 9 };

    (void) state;
    assert_int_equal(imig__copy_struct(&got, sizeof got, NULL, sizeof(first), NULL), IMIG_OK);
    assert_true(got.size == 0 && got.a == 0.0 && got.b == 0.0);
}

static void
a_size_nobody_ever_had_is_refused_both_ways(void **state)
{
    static const size_t sizes[] = { 0, 1, sizeof(size_t), sizeof(first) - 1, 5000, SIZE_MAX };
    today source = { sizeof source, 1, 2 };

    (void) state;
    for (size_t i = 0; i < G_N_ELEMENTS(sizes); i++) {
        today bad = { sizes[i], 7, 8 }, got;
        imig_error *error = NULL;

        assert_int_equal(imig__copy_struct(&got, sizeof got, &bad, sizeof(first), &error),
                         IMIG_ERR_ABI);
        g_clear_pointer(&error, imig_error_free);
        assert_int_equal(imig__fill_struct(&bad, &source, sizeof source, sizeof(first), &error),
                         IMIG_ERR_ABI);
        assert_true(bad.size == sizes[i] && bad.a == 7 && bad.b == 8); /* untouched */
        imig_error_free(error);
    }
}

static void
an_old_caller_s_struct_is_filled_up_to_its_size(void **state)
{
    struct { first info; double behind; } old = { { sizeof(first), 0 }, 42 };
    today source = { sizeof source, 1, 2 };

    (void) state;
    assert_int_equal(imig__fill_struct(&old.info, &source, sizeof source, sizeof(first), NULL),
                     IMIG_OK);
    assert_true(old.info.size == sizeof(first));
    assert_true(old.info.a == 1);
    assert_true(old.behind == 42);
}

static void
a_new_caller_s_tail_is_filled_with_zero(void **state)
{
    later new = { sizeof new, 9, 9, 9 };
    today source = { sizeof source, 1, 2 };

    (void) state;
    assert_int_equal(imig__fill_struct(&new, &source, sizeof source, sizeof(first), NULL), IMIG_OK);
    assert_true(new.size == sizeof new && new.a == 1 && new.b == 2 && new.c == 0.0);
}

/* ---- errors ---- */

static void
an_error_has_code_words_and_the_backend_s_number(void **state)
{
    imig_error *error = NULL;

    (void) state;
    assert_int_equal(imig_error_set(&error, IMIG_ERR_BACKEND, 38, "the guest agent is away"),
                     IMIG_ERR_BACKEND);
    assert_int_equal(imig_error_code(error), IMIG_ERR_BACKEND);
    assert_int_equal(imig_error_backend_code(error), 38);
    assert_string_equal(imig_error_message(error), "the guest agent is away");
    imig_error_free(error);
}

static void
the_first_error_is_kept(void **state)
{
    imig_error *error = NULL;

    (void) state;
    imig__fail(&error, IMIG_ERR_INVALID, "row %d", 3);
    assert_int_equal(imig__fail(&error, IMIG_ERR_IO, "later"), IMIG_ERR_IO);
    assert_string_equal(imig_error_message(error), "row 3");
    imig__error_prefix(&error, "hosts[%d]", 7);
    assert_string_equal(imig_error_message(error), "hosts[7]: row 3");
    assert_int_equal(imig_error_code(error), IMIG_ERR_INVALID);
    imig_error_free(error);
}

static void
a_message_is_one_line_of_utf_8(void **state)
{
    imig_error *error = NULL;

    (void) state;
    imig_error_set(&error, IMIG_ERR_INVALID, 0, "two\nlines\x1b[31m\x7f and \xff");
    assert_string_equal(imig_error_message(error), "two lines [31m  and \xef\xbf\xbd");
    imig_error_free(error);
}

static void
nobody_needs_to_look_at_an_error(void **state)
{
    (void) state;
    assert_int_equal(imig__fail(NULL, IMIG_ERR_IO, "unheard"), IMIG_ERR_IO);
    assert_int_equal(imig_error_set(NULL, IMIG_ERR_IO, 0, "unheard"), IMIG_ERR_IO);
    imig__error_prefix(NULL, "prefix");
    imig_error_free(NULL);
    assert_int_equal(imig_error_code(NULL), IMIG_OK);
    assert_int_equal(imig_error_backend_code(NULL), 0);
    assert_string_equal(imig_error_message(NULL), "no error");
}

static void
what_is_no_failure_cannot_be_an_error(void **state)
{
    static const int codes[] = { IMIG_OK, 1, -13, INT_MIN, INT_MAX };

    (void) state;
    for (size_t i = 0; i < G_N_ELEMENTS(codes); i++) {
        imig_error *error = NULL;

        assert_int_equal(imig_error_set(&error, codes[i], 0, "x"), IMIG_ERR_ARGUMENT);
        assert_int_equal(imig_error_code(error), IMIG_ERR_ARGUMENT);
        imig_error_free(error);
    }
    assert_int_equal(imig_error_set(NULL, IMIG_ERR_IO, 0, NULL), IMIG_ERR_ARGUMENT);
}

static void
every_code_has_a_name_of_its_own(void **state)
{
    (void) state;
    for (int code = IMIG_OK; code >= IMIG_ERR_IO; code--) {
        assert_string_not_equal(imig_errcode_name(code), "unknown");
        for (int other = IMIG_OK; other > code; other--)
            assert_string_not_equal(imig_errcode_name(code), imig_errcode_name(other));
    }
    assert_string_equal(imig_errcode_name(IMIG_ERR_NOT_FOUND), "not-found");
    assert_string_equal(imig_errcode_name(IMIG_ERR_IO - 1), "unknown");
    assert_string_equal(imig_errcode_name(1), "unknown");
    assert_string_equal(imig_errcode_name(INT_MIN), "unknown");
}

/* ---- numbers and quotes in documents and messages ---- */

static const struct number_case {
    double value;
    const char *text;
} numbers[] = {
    { 0.0, "0" },           { -0.0, "0" },           { 1790000000.0, "1790000000" },
    { 0.1, "0.1" },         { 1.0 / 3, "0.3333333333333333" },
    { 4294967296.0, "4294967296" },                  { 1e15, "1e+15" },
    { -2.5, "-2.5" },       { 5e-324, "4.94065645841247e-324" },
    { 1.7976931348623157e308, "1.7976931348623157e+308" },
};

static void
numbers_are_short_and_read_back_the_same(void **state)
{
    (void) state;
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++) {
        char text[IMIG__NUMBER_LENGTH];

        assert_string_equal(imig__number(numbers[i].value, text), numbers[i].text);
        assert_true(g_ascii_strtod(text, NULL) == numbers[i].value);
    }
}

static void
quotes_are_short_and_valid(void **state)
{
    char long_text[400], quoted[IMIG__QUOTE_LENGTH];

    (void) state;
    assert_string_equal(imig__quote("web1", quoted), "\"web1\"");
    assert_string_equal(imig__quote("", quoted), "\"\"");
    assert_string_equal(imig__quote("a\xff" "b", quoted), "\"a?b\"");
    for (size_t i = 0; i + 4 < sizeof long_text; i += 4)
        memcpy(long_text + i, "\xf0\x9f\x90\xa7", 4); /* four bytes each */
    long_text[sizeof long_text - 4] = 0;
    imig__quote(long_text, quoted);
    assert_true(g_utf8_validate(quoted, -1, NULL));
    assert_true(g_str_has_suffix(quoted, "...\""));
    assert_int_equal(strlen(quoted), 60 * 4 + 5);
}

/* ---- cancel, version, free ---- */

static void
a_wish_to_stop_has_two_degrees(void **state)
{
    imig_cancel *cancel = imig_cancel_new();

    (void) state;
    assert_int_equal(imig_cancel_level(cancel), 0);
    imig_cancel_trigger(cancel);
    assert_int_equal(imig_cancel_level(cancel), 1);
    imig_cancel_trigger(cancel);
    imig_cancel_trigger(cancel);
    assert_int_equal(imig_cancel_level(cancel), 2);
    assert_ptr_equal(imig_cancel_ref(cancel), cancel);
    imig_cancel_unref(cancel);
    assert_int_equal(imig_cancel_level(cancel), 2);
    imig_cancel_unref(cancel);
    imig_cancel_unref(NULL);
    assert_int_equal(imig_cancel_level(NULL), 0);
}

static void
the_version_is_that_of_the_headers(void **state)
{
    char *text = g_strdup_printf("%d.%d.%d", IMIG_VERSION / 1000000, IMIG_VERSION / 1000 % 1000,
                                 IMIG_VERSION % 1000);

    (void) state;
    assert_string_equal(imig_version(), text);
    g_free(text);
    imig_free(NULL);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_old_caller_s_missing_tail_is_zero),
        cmocka_unit_test(a_new_caller_s_zero_tail_is_fine),
        cmocka_unit_test(a_new_caller_s_unknown_wish_is_refused),
        cmocka_unit_test(null_means_the_defaults),
        cmocka_unit_test(a_size_nobody_ever_had_is_refused_both_ways),
        cmocka_unit_test(an_old_caller_s_struct_is_filled_up_to_its_size),
        cmocka_unit_test(a_new_caller_s_tail_is_filled_with_zero),
        cmocka_unit_test(an_error_has_code_words_and_the_backend_s_number),
        cmocka_unit_test(the_first_error_is_kept),
        cmocka_unit_test(a_message_is_one_line_of_utf_8),
        cmocka_unit_test(nobody_needs_to_look_at_an_error),
        cmocka_unit_test(what_is_no_failure_cannot_be_an_error),
        cmocka_unit_test(every_code_has_a_name_of_its_own),
        cmocka_unit_test(numbers_are_short_and_read_back_the_same),
        cmocka_unit_test(quotes_are_short_and_valid),
        cmocka_unit_test(a_wish_to_stop_has_two_degrees),
        cmocka_unit_test(the_version_is_that_of_the_headers),
    };

    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
