/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cost/calibration-priv.h"
#include "cost/precopy-priv.h"
#include "model/json-in-priv.h"
#include "model/json-out-priv.h"

#include <math.h>
#include <string.h>

#define FORMAT "imig-constants/1"

#define NUMBER(key, name) { key, imig__json_number, offsetof(imig_constants, name), 0, FALSE }
#define TEXT(key, name) { key, imig__json_text, offsetof(imig_constants, name), 0, FALSE }
#define WHOLE(key, name) { key, imig__json_whole, offsetof(imig_constants, name), 0, FALSE }

/* Texts, numbers, whole numbers, as they are written. */
static const imig__json_key keys[] = {
    { "hypervisor", imig__json_text, offsetof(imig_constants, hypervisor), 0, TRUE },
    TEXT("from", from),
    TEXT("to", to),
    NUMBER("link_share_ratio", link_share_ratio),
    NUMBER("setup_s", setup_s),
    NUMBER("downtime_s", downtime_s),
    NUMBER("dirty_ratio", dirty_ratio),
    NUMBER("receive_hold_ratio", receive_hold_ratio),
    NUMBER("dirty_hold_ratio", dirty_hold_ratio),
    NUMBER("time_p50_ratio", time_p50_ratio),
    NUMBER("time_p90_ratio", time_p90_ratio),
    NUMBER("downtime_p50_ratio", downtime_p50_ratio),
    NUMBER("downtime_p90_ratio", downtime_p90_ratio),
    NUMBER("bytes_p50_ratio", bytes_p50_ratio),
    NUMBER("bytes_p90_ratio", bytes_p90_ratio),
    NUMBER("assumed_time_p50_ratio", assumed_time_p50_ratio),
    NUMBER("assumed_time_p90_ratio", assumed_time_p90_ratio),
    NUMBER("memory_low_bytes", memory_low_bytes),
    NUMBER("memory_high_bytes", memory_high_bytes),
    NUMBER("bandwidth_low_bytes_per_s", bandwidth_low_bytes_per_s),
    NUMBER("bandwidth_high_bytes_per_s", bandwidth_high_bytes_per_s),
    NUMBER("dirty_low_bytes_per_s", dirty_low_bytes_per_s),
    NUMBER("dirty_high_bytes_per_s", dirty_high_bytes_per_s),
    WHOLE("migrations", migrations),
    WHOLE("plans", plans),
};

static int
check_names(imig__json_in *in, const imig__path *path, const imig_constants *c,
            const imig_calibration *calibration)
{
    if (!imig__hypervisor_find(c->hypervisor)) {
        char *rule = imig__there_are("no such hypervisor", imig_hypervisor_name);

        imig__refuse_text(IMIG__KEY(path, "hypervisor"), c->hypervisor, rule,
                          imig__json_error(in));
        g_free(rule);
        return IMIG_ERR_INVALID;
    }
    if (!c->from != !c->to)
        return imig__refuse(IMIG__KEY(path, c->from ? "to" : "from"), NULL,
                            "from and to are given together", imig__json_error(in));
    for (guint i = 0; i < calibration->items->len; i++) {
        const imig_constants *other = &g_array_index(calibration->items, imig_constants, i);

        if (strcmp(other->hypervisor, c->hypervisor) == 0 && g_strcmp0(other->from, c->from) == 0
            && g_strcmp0(other->to, c->to) == 0)
            return imig__refuse(path, NULL, "the same hypervisor and hosts again",
                                imig__json_error(in));
    }
    return IMIG_OK;
}

static int
read_constants(imig__json_in *in, const imig__path *path, json_t *element, void *state)
{
    imig_calibration *calibration = state;
    imig_constants c = IMIG_CONSTANTS_INIT, assumed;
    json_t *name = json_object_get(element, "hypervisor");

    /* What is not said is assumed. */
    if (json_is_string(name) && imig__hypervisor_find(json_string_value(name))) {
        imig__constants_assumed(imig__hypervisor_find(json_string_value(name)), &assumed);
        c = assumed;
    }
    if (imig__json_object(in, path, element, keys, G_N_ELEMENTS(keys), &c, NULL) != IMIG_OK
        || check_names(in, path, &c, calibration) != IMIG_OK)
        return IMIG_ERR_INVALID;
    for (size_t i = 0; i < IMIG__CONSTANT_COUNT; i++) {
        const imig__constant *field = &imig__constants[i];

        if (imig__check_number(IMIG__KEY(path, field->name),
                               G_STRUCT_MEMBER(double, &c, field->offset), field->least,
                               field->most, imig__json_error(in)) != IMIG_OK)
            return IMIG_ERR_INVALID;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
        if (keys[i].read == imig__json_number
            && imig__check_number(IMIG__KEY(path, keys[i].name),
                                  G_STRUCT_MEMBER(double, &c, keys[i].offset), 0, IMIG__NUMBER_MAX,
                                  imig__json_error(in)) != IMIG_OK)
            return IMIG_ERR_INVALID;
    imig__calibration_add(calibration, &c);
    return IMIG_OK;
}

static const imig__json_member members[] = {
    { "constants", NULL, read_constants, NULL, TRUE },
};

int
imig_calibration_from_json(const char *text, size_t length, imig_calibration **calibration,
                           imig_error **error)
{
    imig_calibration *c;
    int rc;

    if (!text || !calibration)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "text or calibration is NULL");
    c = imig__calibration_new();
    rc = imig__json_read(text, length, FORMAT, members, G_N_ELEMENTS(members), c, error);
    if (rc == IMIG_OK)
        *calibration = c;
    else
        imig_calibration_unref(c);
    return rc;
}

static void
put_constants(imig__json_out *out, const imig_constants *c)
{
    imig__json_put_object(out, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        if (keys[i].read == imig__json_text) {
            const char *text = G_STRUCT_MEMBER(const char *, c, keys[i].offset);

            if (text)
                imig__json_put_text(out, keys[i].name, text);
        } else if (keys[i].read == imig__json_whole) {
            imig__json_put_number(out, keys[i].name,
                                  G_STRUCT_MEMBER(uint32_t, c, keys[i].offset));
        } else {
            imig__json_put_number(out, keys[i].name, G_STRUCT_MEMBER(double, c, keys[i].offset));
        }
    }
    imig__json_put_end(out);
}

int
imig_calibration_to_json(const imig_calibration *calibration, char **text, size_t *length,
                         imig_error **error)
{
    g_autoptr(GString) string = NULL;
    imig__json_out *out;

    if (!calibration || !text)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "calibration or text is NULL");
    string = g_string_new(NULL);
    out = g_new(imig__json_out, 1);
    imig__json_begin(out, imig__json_to_string, string);
    imig__json_put_text(out, "format", FORMAT);
    imig__json_put_array(out, "constants");
    for (guint i = 0; i < calibration->items->len; i++)
        put_constants(out, &g_array_index(calibration->items, imig_constants, i));
    imig__json_put_end(out);
    imig__json_end(out);
    g_free(out);
    if (length)
        *length = string->len;
    *text = g_string_free(g_steal_pointer(&string), FALSE);
    return IMIG_OK;
}
