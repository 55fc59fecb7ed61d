/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Any bytes at all, as a line of an agent or to one: refused with one line of words, or read.  The
 * first byte says which operation a reply is for.
 */

#include "backend/agent-priv.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(int code, imig_error *error)
{
    const char *message = imig_error_message(error);

    g_assert_true(code == IMIG_OK || code == IMIG_ERR_SYNTAX || code == IMIG_ERR_INVALID);
    g_assert_cmpint(imig_error_code(error), ==, code);
    g_assert_true(g_utf8_validate(message, -1, NULL));
    g_assert_null(strchr(message, '\n'));
    imig_error_free(error);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *line = (const char *) data + 1;
    imig__agent_greeting greeting;
    imig__agent_request request;
    imig__agent_reply reply = { .sample = imig__sample_new(0) };
    imig_error *error[3] = { NULL };
    int code[3];

    if (size > 0) {
        code[0] = imig__agent_read_greeting(line, size - 1, &greeting, &error[0]);
        code[1] = imig__agent_read_request(line, size - 1, &request, &error[1]);
        code[2] = imig__agent_read_reply(line, size - 1, data[0] % IMIG__AGENT_OPS, &reply,
                                         &error[2]);
        for (int i = 0; i < 3; i++)
            check(code[i], error[i]);
        imig__agent_failure_clear(&greeting.failure);
        imig__agent_failure_clear(&reply.failure);
        imig__agent_request_clear(&request);
    }
    imig__sample_free(reply.sample);
    return 0;
}
