/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "model/json-in-priv.h"

#include <math.h>
#include <string.h>

enum { MEMBERS_MAX = 16 };

static const size_t PARSE_FLAGS = JSON_REJECT_DUPLICATES | JSON_DISABLE_EOF_CHECK |
                                  JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL;

struct imig__json_in {
    const char *text;
    size_t length, at;
    const char *format;
    const imig__json_member *members;
    size_t n;
    void *state;
    imig_error **error;

    GHashTable *known;    /* set of members met so far */
    size_t start[MEMBERS_MAX]; /* of the array, where it had to wait for what it needs */
    gboolean done[MEMBERS_MAX];

    GHashTable *optional; /* set of keys; NULL: `optional` has not been met */
    GPtrArray *unknown;   /* key, path, key, path, ... in case `optional` comes late */
    GHashTable *unknown_keys;
};

imig_error **
imig__json_error(imig__json_in *in)
{
    return in->error;
}

/* Lines and columns are counted only when somebody has to be told; columns in characters. */
static int
syntax_error(imig__json_in *in, size_t at, const char *message)
{
    size_t line = 1, column = 1;

    for (size_t i = 0; i < at && i < in->length; i++)
        if (in->text[i] == '\n') {
            line++;
            column = 1;
        } else if (((unsigned char) in->text[i] & 0xc0) != 0x80) {
            column++;
        }
    return imig__fail(in->error, IMIG_ERR_SYNTAX, "line %zu column %zu: %s", line, column,
                      message);
}

int
imig__json_refuse(imig__json_in *in, const imig__path *path, json_t *value, const char *rule)
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        return imig__refuse_text(path, json_string_value(value), rule, in->error);
    case JSON_INTEGER:
    case JSON_REAL:
        return imig__refuse_number(path, json_number_value(value), rule, in->error);
    case JSON_OBJECT:
        return imig__refuse(path, "{...}", rule, in->error);
    case JSON_ARRAY:
        return imig__refuse(path, "[...]", rule, in->error);
    default:
        return imig__refuse(path, json_is_null(value) ? "null" : json_is_true(value) ? "true"
                                                                                     : "false",
                            rule, in->error);
    }
}

/* ---- values ---- */

int
imig__json_number(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    if (!json_is_number(value))
        return imig__json_refuse(in, path, value, "must be a number");
    *(double *) field = json_number_value(value);
    return IMIG_OK;
}

int
imig__json_text(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    if (!json_is_string(value))
        return imig__json_refuse(in, path, value, "must be a string");
    *(const char **) field = json_string_value(value);
    return IMIG_OK;
}

int
imig__json_whole(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    double number = json_number_value(value); /* 0 where it is none */

    if (!json_is_number(value) || number != trunc(number) || number < 0 || number > UINT32_MAX)
        return imig__json_refuse(in, path, value, "must be a whole number from 0 to 4294967295");
    *(uint32_t *) field = (uint32_t) number;
    return IMIG_OK;
}

int
imig__json_bool(imig__json_in *in, const imig__path *path, json_t *value, void *field)
{
    if (!json_is_boolean(value))
        return imig__json_refuse(in, path, value, "must be true or false");
    *(int32_t *) field = json_is_true(value);
    return IMIG_OK;
}

int
imig__json_name(imig__json_in *in, const imig__path *path, json_t *value, const char *const *names,
                int32_t n, const char *rule, int32_t *index)
{
    const char *separator = "; there are ";
    GString *all;

    for (int32_t i = 0; json_is_string(value) && i < n; i++)
        if (g_strcmp0(names[i], json_string_value(value)) == 0) {
            *index = i;
            return IMIG_OK;
        }
    all = g_string_new(rule);
    for (int32_t i = 0; i < n; i++)
        if (names[i]) {
            g_string_append_printf(all, "%s%s", separator, names[i]);
            separator = ", ";
        }
    imig__json_refuse(in, path, value, all->str);
    g_string_free(all, TRUE);
    return IMIG_ERR_INVALID;
}

int
imig__json_want_array(imig__json_in *in, const imig__path *path, json_t *value)
{
    return json_is_array(value) ? IMIG_OK
                                : imig__json_refuse(in, path, value, "must be an array");
}

int
imig__json_want_object(imig__json_in *in, const imig__path *path, json_t *value)
{
    return json_is_object(value) ? IMIG_OK
                                 : imig__json_refuse(in, path, value, "must be an object");
}

/* ---- unknown keys ---- */

static int
refuse_unknown(imig__json_in *in, const char *where)
{
    return imig__fail(in->error, IMIG_ERR_INVALID,
                      "%s: no such key; one of your own begins with \"x-\"", where);
}

static int
unknown_key(imig__json_in *in, const imig__path *path, const char *name)
{
    char quoted[IMIG__QUOTE_LENGTH], *where;
    int code = IMIG_OK;

    if (g_str_has_prefix(name, "x-") || (in->optional && g_hash_table_contains(in->optional, name)))
        return IMIG_OK;
    if (!in->optional && g_hash_table_contains(in->unknown_keys, name))
        return IMIG_OK;
    /* Quoted, for a key may be anything. */
    where = imig__path_text(path);
    g_ptr_array_add(in->unknown, g_strdup(name));
    g_ptr_array_add(in->unknown, g_strdup_printf("%s%s%s", where, *where ? ": " : "",
                                                 imig__quote(name, quoted)));
    g_free(where);
    if (in->optional)
        code = refuse_unknown(in, in->unknown->pdata[in->unknown->len - 1]);
    else
        g_hash_table_add(in->unknown_keys, in->unknown->pdata[in->unknown->len - 2]);
    return code;
}

int
imig__json_object(imig__json_in *in, const imig__path *path, json_t *value,
                  const imig__json_key *keys, size_t n, void *into, uint64_t *present)
{
    uint64_t met = 0;
    const char *name;
    json_t *member;
    size_t next = 0;

    if (imig__json_want_object(in, path, value) != IMIG_OK)
        return IMIG_ERR_INVALID;
    json_object_foreach(value, name, member) {
        const imig__json_key *key = NULL;
        int code;

        /* Keys mostly come in the order of the table: look on from the one before. */
        for (size_t i = 0; i < n && !key; i++, next++) {
            if (next == n)
                next = 0;
            if (strcmp(keys[next].name, name) == 0) {
                key = &keys[next];
                met |= UINT64_C(1) << next;
            }
        }
        if (key)
            code = key->read(in, IMIG__KEY(path, key->name), member, (char *) into + key->offset);
        else
            code = unknown_key(in, path, name);
        if (code != IMIG_OK)
            return code;
        if (key && present)
            *present |= key->bit;
    }
    for (size_t i = 0; i < n; i++)
        if (keys[i].required && !(met >> i & 1))
            return imig__refuse(IMIG__KEY(path, keys[i].name), NULL, "missing", in->error);
    return IMIG_OK;
}

/* ---- the document ---- */

static void
skip_space(imig__json_in *in)
{
    while (in->at < in->length && strchr(" \t\r\n", in->text[in->at]) && in->text[in->at])
        in->at++;
}

/* After white space: takes the character, if it is there. */
static gboolean
take(imig__json_in *in, char c)
{
    skip_space(in);
    if (in->at == in->length || in->text[in->at] != c)
        return FALSE;
    in->at++;
    return TRUE;
}

static int
expected(imig__json_in *in, const char *what)
{
    char message[80];

    g_snprintf(message, sizeof message, "%s expected%s", what,
               in->at == in->length ? ", but the document ends" : "");
    return syntax_error(in, in->at, message);
}

/* The value that starts here; NULL on failure, with the error set. */
static json_t *
parse(imig__json_in *in)
{
    json_error_t json_error;
    json_t *value;

    skip_space(in);
    if (in->at == in->length) {
        expected(in, "a value");
        return NULL;
    }
    value = json_loadb(in->text + in->at, in->length - in->at, PARSE_FLAGS, &json_error);
    if (value) {
        in->at += (size_t) json_error.position;
        return value;
    }
    /* Its position is behind what it could not use. */
    if (json_error.position > 0)
        in->at += (size_t) json_error.position - 1;
    syntax_error(in, in->at, json_error_code(&json_error) == json_error_null_character
                                 ? "\\u0000 is not allowed" : json_error.text);
    return NULL;
}

/* member NULL: only looks whether it is well-formed. */
static int
read_array(imig__json_in *in, const imig__json_member *member)
{
    imig__path array = { NULL, member ? member->name : "", 0 };

    in->at++; /* [ */
    if (take(in, ']'))
        return IMIG_OK;
    for (size_t i = 0;; i++) {
        json_t *element = parse(in);
        int code = IMIG_OK;

        if (!element)
            return IMIG_ERR_SYNTAX;
        if (member)
            code = member->element(in, IMIG__AT(&array, i), element, in->state);
        json_decref(element);
        if (code != IMIG_OK || take(in, ']'))
            return code;
        if (!take(in, ','))
            return expected(in, "',' or ']'");
    }
}

static int
read_format(imig__json_in *in, json_t *value)
{
    char rule[64];

    if (g_strcmp0(json_string_value(value), in->format) == 0)
        return IMIG_OK;
    g_snprintf(rule, sizeof rule, "must be \"%s\"", in->format);
    return imig__json_refuse(in, IMIG__KEY(NULL, "format"), value, rule);
}

static int
read_optional(imig__json_in *in, json_t *value)
{
    const imig__path *path = IMIG__KEY(NULL, "optional");
    json_t *name;
    size_t i;

    if (imig__json_want_array(in, path, value) != IMIG_OK)
        return IMIG_ERR_INVALID;
    in->optional = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    json_array_foreach(value, i, name) {
        if (!json_is_string(name))
            return imig__json_refuse(in, IMIG__AT(path, i), name, "must be a string");
        g_hash_table_add(in->optional, g_strdup(json_string_value(name)));
    }
    return IMIG_OK;
}

static size_t
find_member(const imig__json_in *in, const char *name)
{
    size_t i = 0;

    while (i < in->n && strcmp(in->members[i].name, name) != 0)
        i++;
    return i;
}

static gboolean
can_be_read(const imig__json_in *in, size_t member)
{
    const char *needs = in->members[member].needs;

    return !needs || in->done[find_member(in, needs)];
}

static int
read_member(imig__json_in *in, size_t i)
{
    const imig__json_member *member = &in->members[i];
    json_t *value;
    int code;

    skip_space(in);
    if (member->element && in->at < in->length && in->text[in->at] == '[') {
        in->done[i] = can_be_read(in, i);
        in->start[i] = in->at;
        return read_array(in, in->done[i] ? member : NULL);
    }
    value = parse(in);
    if (!value)
        return IMIG_ERR_SYNTAX;
    code = member->element ? imig__json_want_array(in, IMIG__KEY(NULL, member->name), value)
                           : member->value(in, IMIG__KEY(NULL, member->name), value, in->state);
    in->done[i] = TRUE;
    json_decref(value);
    return code;
}

static int
read_other(imig__json_in *in, const char *name)
{
    json_t *value;
    int code;

    skip_space(in);
    if (!in->format || (strcmp(name, "format") != 0 && strcmp(name, "optional") != 0)) {
        code = unknown_key(in, NULL, name);
        if (code != IMIG_OK || (in->at < in->length && in->text[in->at] == '['))
            return code != IMIG_OK ? code : read_array(in, NULL);
    }
    value = parse(in);
    if (!value)
        return IMIG_ERR_SYNTAX;
    code = !in->format ? IMIG_OK
           : strcmp(name, "format") == 0 ? read_format(in, value)
           : strcmp(name, "optional") == 0 ? read_optional(in, value) : IMIG_OK;
    json_decref(value);
    return code;
}

static int
read_pair(imig__json_in *in)
{
    json_t *key;
    size_t i, start;
    int code;

    skip_space(in);
    start = in->at;
    if (in->at == in->length || in->text[in->at] != '"')
        return expected(in, "a key in quotes");
    key = parse(in);
    if (!key)
        return IMIG_ERR_SYNTAX;
    if (!g_hash_table_add(in->known, g_strdup(json_string_value(key))))
        code = syntax_error(in, start, "this key is there already");
    else if (!take(in, ':'))
        code = expected(in, "':'");
    else if ((i = find_member(in, json_string_value(key))) < in->n)
        code = read_member(in, i);
    else
        code = read_other(in, json_string_value(key));
    json_decref(key);
    return code;
}

static int
read_pairs(imig__json_in *in)
{
    if (in->length >= 3 && memcmp(in->text, "\xef\xbb\xbf", 3) == 0)
        return syntax_error(in, 0, "begins with a byte order mark");
    if (!take(in, '{'))
        return expected(in, "'{'");
    if (!take(in, '}')) {
        do {
            int code = read_pair(in);

            if (code != IMIG_OK)
                return code;
        } while (take(in, ','));
        if (!take(in, '}'))
            return expected(in, "',' or '}'");
    }
    skip_space(in);
    return in->at == in->length ? IMIG_OK
                                : syntax_error(in, in->at, "goes on after its end");
}

/* What had to wait, and what can only be said now. */
static int
read_rest(imig__json_in *in)
{
    int code = IMIG_OK;

    if (in->format && !g_hash_table_contains(in->known, "format"))
        return imig__refuse(IMIG__KEY(NULL, "format"), NULL, "missing", in->error);
    for (size_t i = 0; i < in->n && code == IMIG_OK; i++) {
        const imig__json_member *member = &in->members[i];
        gboolean met = g_hash_table_contains(in->known, member->name);

        if (member->required && !met)
            return imig__refuse(IMIG__KEY(NULL, member->name), NULL, "missing", in->error);
        if (met && !in->done[i]) {
            in->at = in->start[i];
            code = read_array(in, member);
        }
    }
    for (unsigned i = 0; i < in->unknown->len && code == IMIG_OK; i += 2)
        if (!in->optional || !g_hash_table_contains(in->optional, in->unknown->pdata[i]))
            code = refuse_unknown(in, in->unknown->pdata[i + 1]);
    return code;
}

int
imig__json_read(const char *text, size_t length, const char *format,
                const imig__json_member *members, size_t n, void *state, imig_error **error)
{
    imig__json_in in = {
        .text = text, .length = length, .format = format, .members = members, .n = n,
        .state = state, .error = error,
        .known = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
        .unknown = g_ptr_array_new_with_free_func(g_free),
        .unknown_keys = g_hash_table_new(g_str_hash, g_str_equal),
    };
    int code;

    g_assert(n <= MEMBERS_MAX);
    code = read_pairs(&in);
    if (code == IMIG_OK)
        code = read_rest(&in);
    g_hash_table_unref(in.known);
    g_hash_table_unref(in.unknown_keys);
    g_ptr_array_unref(in.unknown);
    g_clear_pointer(&in.optional, g_hash_table_unref);
    return code;
}
