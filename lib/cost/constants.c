/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cost/constants-priv.h"
#include "cost/precopy-priv.h"

#include <math.h>

#define CONSTANTS_FIRST_SIZE IMIG__END_OF(imig_constants, plans)

/*
 * Assumed until something is learned.  A link that is full one way delays the acknowledgements of
 * what comes in the other way (Zhang, Shenker and Clark, SIGCOMM 1991); they lost 10 % and more.
 */
static const double receive_hold_ratio = 0.1;
static const double dirty_hold_ratio = 0.35; /* of a neighbour that dirties at link rate */

const imig__constant imig__constants[IMIG__CONSTANT_COUNT] = {
#define FIELD(name, from, to) { #name, offsetof(imig_constants, name), from, to }
    [IMIG__LINK_SHARE] = FIELD(link_share_ratio, 0.01, 2),
    [IMIG__SETUP] = FIELD(setup_s, 0, 600),
    [IMIG__DOWNTIME] = FIELD(downtime_s, 0, 60),
    [IMIG__DIRTY] = FIELD(dirty_ratio, 0, 10),
    [IMIG__RECEIVE_HOLD] = FIELD(receive_hold_ratio, 0, 10),
    [IMIG__DIRTY_HOLD] = FIELD(dirty_hold_ratio, 0, 10),
#undef FIELD
};

void
imig__constants_assumed(const imig__hypervisor *hypervisor, imig_constants *constants)
{
    *constants = (imig_constants) {
        .size = sizeof *constants,
        .hypervisor = hypervisor->name,
        .link_share_ratio = hypervisor->link_share,
        .setup_s = hypervisor->setup_s,
        .downtime_s = hypervisor->downtime_s,
        .dirty_ratio = 1,
        .receive_hold_ratio = receive_hold_ratio,
        .dirty_hold_ratio = dirty_hold_ratio,
    };
}

int
imig_constants_assumed(const char *hypervisor, imig_constants *constants, imig_error **error)
{
    imig_constants assumed;
    int rc;

    if (!constants)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "constants is NULL");
    rc = imig__constants_of(hypervisor, NULL, &assumed, error);
    return rc == IMIG_OK ? imig__fill_struct(constants, &assumed, sizeof assumed,
                                             CONSTANTS_FIRST_SIZE, error)
                         : rc;
}

/* Is each in its range? */
static int
check(const imig_constants *c, imig_error **error)
{
    for (size_t i = 0; i < IMIG__CONSTANT_COUNT; i++) {
        const imig__constant *field = &imig__constants[i];
        double value = G_STRUCT_MEMBER(const double, c, field->offset);

        if (!isfinite(value) || value < field->least || value > field->most)
            return imig__fail(error, IMIG_ERR_ARGUMENT, "%s: %g is not a number from %g to %g",
                              field->name, value, field->least, field->most);
    }
    return IMIG_OK;
}

int
imig__constants_of(const char *hypervisor, const imig_constants *given, imig_constants *constants,
                   imig_error **error)
{
    const imig__hypervisor *row = imig__hypervisor_find(hypervisor);
    int rc;

    if (!row)
        return imig__fail_name(error, IMIG_ERR_ARGUMENT, "no hypervisor", hypervisor,
                               imig_hypervisor_name);
    imig__constants_assumed(row, constants);
    if (!given)
        return IMIG_OK;
    rc = imig__copy_struct(constants, sizeof *constants, given, CONSTANTS_FIRST_SIZE, error);
    return rc == IMIG_OK ? check(constants, error) : rc;
}

int
imig__constants_fill(imig_constants *into, const imig_constants *from, imig_error **error)
{
    return imig__fill_struct(into, from, sizeof *from, CONSTANTS_FIRST_SIZE, error);
}

void
imig__precopy_learn(imig__precopy *p, const imig_constants *constants)
{
    p->setup_s = constants->setup_s;
    p->downtime_s = constants->downtime_s;
    p->dirty_bytes_per_s *= constants->dirty_ratio;
}

/* By how many doublings a value is outside; below `least` differences mean nothing. */
static double
outside(double value, double low, double high, double least)
{
    value = fmax(value, least);
    return fmax(0, fmax(log2(fmax(low, least) / value), log2(value / fmax(high, least))));
}

void
imig__cost_errors(const imig__precopy *p, double bandwidth_bytes_per_s, double dirty_bytes_per_s,
                  const imig_constants *c, imig_cost *cost)
{
    double wider;

    cost->migrations = c->migrations;
    if (c->migrations == 0)
        return;
    cost->unlike = outside(imig__precopy_first_bytes(p), c->memory_low_bytes, c->memory_high_bytes,
                           1 << 20)
                 + outside(bandwidth_bytes_per_s, c->bandwidth_low_bytes_per_s,
                           c->bandwidth_high_bytes_per_s, 1e5)
                 + outside(dirty_bytes_per_s, c->dirty_low_bytes_per_s, c->dirty_high_bytes_per_s,
                           0.02 * bandwidth_bytes_per_s);
    wider = 1 + cost->unlike;
    cost->time_p50_ratio = wider * c->time_p50_ratio;
    cost->time_p90_ratio = wider * c->time_p90_ratio;
    cost->downtime_p50_ratio = wider * c->downtime_p50_ratio;
    cost->downtime_p90_ratio = wider * c->downtime_p90_ratio;
    cost->bytes_p50_ratio = wider * c->bytes_p50_ratio;
    cost->bytes_p90_ratio = wider * c->bytes_p90_ratio;
}
