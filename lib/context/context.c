/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "context/context-priv.h"

#include <gmodule.h>
#include <string.h>

/* Modules of this name take what no other backend wants: URIs of libvirt have many schemes. */
#define FALLBACK_MODULE "libvirt"

/*
 * The log hook.  A module may log from a thread of its own at any time, so where a module was given
 * one it outlives its context, without a hook.
 */
typedef struct sink {
    imig_module_api api; /* what modules are given */
    GMutex lock;
    imig_log_fn log;
    void *user_data;
    imig_destroy_fn destroy;
    int32_t max_level;
    GPtrArray *secrets;  /* that no line may show */
    gboolean given;      /* to a module: never freed */
} sink;

typedef struct backend {
    imig_backend_ops ops; /* in today's shape */
    char *module;         /* name of the module's file without ".so"; NULL: registered */
    /* Instead of ops.open, for one that asks its context; NULL: none. */
    int (*open)(imig_context *context, const char *uri, void **ret_state, imig_error **error);
} backend;

struct imig_context {
    GPtrArray *backends;
    char *module_directory;
    imig__agent_settings agent;
    sink *sink;
};

static void
sink_log(void *log_data, int32_t level, const char *line)
{
    sink *s = log_data;

    g_mutex_lock(&s->lock);
    if (s->log && level <= s->max_level) {
        char *clean = imig__secrets_hide(s->secrets, line);

        s->log(level, clean, s->user_data);
        g_free(clean);
    }
    g_mutex_unlock(&s->lock);
}

static void
sink_set(sink *s, int32_t max_level, imig_log_fn log, void *user_data, imig_destroy_fn destroy)
{
    g_mutex_lock(&s->lock);
    if (s->destroy)
        s->destroy(s->user_data);
    s->max_level = max_level;
    s->log = log;
    s->user_data = user_data;
    s->destroy = destroy;
    g_mutex_unlock(&s->lock);
}

static sink *
sink_new(void)
{
    sink *s = g_new0(sink, 1);

    g_mutex_init(&s->lock);
    s->secrets = g_ptr_array_new_with_free_func(g_free);
    s->api = (imig_module_api) {
        .size = sizeof s->api,
        .error_set = imig_error_set,
        .sample_add_host = imig_sample_add_host,
        .sample_add_vm = imig_sample_add_vm,
        .sample_add_flow = imig_sample_add_flow,
        .sample_add_rule = imig_sample_add_rule,
        .log = sink_log,
        .log_data = s,
    };
    return s;
}

static void
sink_end(sink *s)
{
    sink_set(s, 0, NULL, NULL, NULL);
    if (s->given)
        return;
    g_mutex_clear(&s->lock);
    g_ptr_array_unref(s->secrets);
    g_free(s);
}

static void
backend_free(void *data)
{
    backend *b = data;

    g_free(b->module);
    g_free(b);
}

static const backend *
backend_at(const imig_context *context, size_t index)
{
    return g_ptr_array_index(context->backends, index);
}

static const backend *
backend_named(const imig_context *context, const char *name)
{
    for (size_t i = 0; i < context->backends->len; i++)
        if (strcmp(backend_at(context, i)->ops.name, name) == 0)
            return backend_at(context, i);
    return NULL;
}

/* The operation that is mandatory and missing, or NULL. */
static const char *
missing_operation(const imig_backend_ops *ops)
{
    const struct { const char *name; gboolean missing; } slots[] = {
        { "name", !ops->name || !*ops->name },
        { "probe", !ops->probe },
        { "open", !ops->open },
        { "close", !ops->close },
        { "clock", !ops->clock },
        { "sample", !ops->sample },
        { "locate", !ops->locate },
        { "wait", !ops->wait },
        { "dirty_read", ops->dirty_start && !ops->dirty_read },
        { "dirty_stop", ops->dirty_start && !ops->dirty_stop },
        { "poll", ops->migrate && !ops->poll },
        { "cancel", ops->migrate && !ops->cancel },
        { "result", ops->migrate && !ops->result },
    };

    for (size_t i = 0; i < G_N_ELEMENTS(slots); i++)
        if (slots[i].missing)
            return slots[i].name;
    return NULL;
}

static int
add_backend(imig_context *context, const imig_backend_ops *ops, const char *module,
            imig_error **error)
{
    backend *b = g_new0(backend, 1);
    const char *missing;
    int code;

    code = imig__copy_struct(&b->ops, sizeof b->ops, ops, IMIG__END_OF(imig_backend_ops, result),
                             error);
    if (code == IMIG_OK && (missing = missing_operation(&b->ops)))
        code = imig__fail(error, IMIG_ERR_ARGUMENT, "backend %s: %s is missing",
                          b->ops.name ? b->ops.name : "without a name", missing);
    if (code == IMIG_OK && backend_named(context, b->ops.name))
        code = imig__fail(error, IMIG_ERR_ARGUMENT, "there is a backend \"%s\" already",
                          b->ops.name);
    if (code != IMIG_OK) {
        g_free(b);
        return code;
    }
    b->module = g_strdup(module);
    g_ptr_array_add(context->backends, b);
    return IMIG_OK;
}

static void
add_built_in(imig_context *context)
{
    int code = add_backend(context, &imig__sim_ops, NULL, NULL);
    backend *agent;

    g_assert(code == IMIG_OK);
    code = add_backend(context, &imig__agent_ops, NULL, NULL);
    g_assert(code == IMIG_OK);
    agent = g_ptr_array_index(context->backends, context->backends->len - 1);
    agent->open = imig__agent_open;
    code = imig__agent_settings_init(&context->agent, NULL, NULL);
    g_assert(code == IMIG_OK);
}

imig_context *
imig_context_new(void)
{
    imig_context *context = g_atomic_rc_box_new0(imig_context);

    context->backends = g_ptr_array_new_with_free_func(backend_free);
    context->module_directory = g_strdup(IMIG_MODULE_DIR);
    context->sink = sink_new();
    add_built_in(context);
    return context;
}

imig_context *
imig_context_ref(imig_context *context)
{
    return context ? g_atomic_rc_box_acquire(context) : NULL;
}

static void
context_clear(void *data)
{
    imig_context *context = data;

    g_ptr_array_unref(context->backends);
    g_free(context->module_directory);
    imig__agent_settings_clear(&context->agent);
    sink_end(context->sink);
}

void
imig_context_unref(imig_context *context)
{
    if (context)
        g_atomic_rc_box_release_full(context, context_clear);
}

int
imig_context_set_module_directory(imig_context *context, const char *directory, imig_error **error)
{
    if (!context)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "context is NULL");
    if (directory && !*directory)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "the module directory is empty");
    g_free(context->module_directory);
    context->module_directory = g_strdup(directory ? directory : IMIG_MODULE_DIR);
    return IMIG_OK;
}

int
imig_context_set_process(imig_context *context, uint64_t process, imig_error **error)
{
    if (!context)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "context is NULL");
    if (process & ~(IMIG_PROCESS_HAS_EVENT_LOOP | IMIG_PROCESS_QUIET | IMIG_PROCESS_MEASURE_DIRTY))
        return imig__fail(error, IMIG_ERR_ARGUMENT, "process: an unknown bit");
    context->sink->api.process = process;
    context->agent.measure_dirty = (process & IMIG_PROCESS_MEASURE_DIRTY) != 0;
    return IMIG_OK;
}

int
imig_context_set_agent(imig_context *context, const imig_agent_options *options,
                       imig_error **error)
{
    imig__agent_settings settings;
    int code;

    if (!context)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "context is NULL");
    code = imig__agent_settings_init(&settings, options, error);
    if (code != IMIG_OK)
        return code;
    settings.measure_dirty = context->agent.measure_dirty;
    imig__agent_settings_clear(&context->agent);
    context->agent = settings;
    return IMIG_OK;
}

const imig__agent_settings *
imig__context_agent(const imig_context *context)
{
    return &context->agent;
}

int
imig_context_register_backend(imig_context *context, const imig_backend_ops *ops,
                              imig_error **error)
{
    if (!context || !ops)
        return imig__fail(error, IMIG_ERR_ARGUMENT, "%s is NULL", context ? "ops" : "context");
    return add_backend(context, ops, NULL, error);
}

const char *
imig_context_backend_name(const imig_context *context, uint32_t index)
{
    if (!context || index >= context->backends->len)
        return NULL;
    return backend_at(context, index)->ops.name;
}

void
imig_context_set_log(imig_context *context, int32_t max_level, imig_log_fn log, void *user_data,
                     imig_destroy_fn destroy)
{
    if (context)
        sink_set(context->sink, max_level, log, user_data, destroy);
    else if (destroy)
        destroy(user_data);
}

void
imig__context_log(imig_context *context, int32_t level, const char *format, ...)
{
    sink *s = context->sink;
    va_list args;
    char *line;

    if (!s->log || level > s->max_level)
        return;
    va_start(args, format);
    line = g_strdup_vprintf(format, args);
    va_end(args);
    g_strdelimit(line, "\r\n", ' ');
    sink_log(s, level, line);
    g_free(line);
}

void
imig__context_keep_secret(imig_context *context, const char *uri)
{
    g_mutex_lock(&context->sink->lock);
    imig__secrets_add(context->sink->secrets, uri);
    g_mutex_unlock(&context->sink->lock);
}

char *
imig__context_hide(imig_context *context, const char *text)
{
    char *clean;

    g_mutex_lock(&context->sink->lock);
    clean = imig__secrets_hide(context->sink->secrets, text);
    g_mutex_unlock(&context->sink->lock);
    return clean;
}

/*
 * Runs the entry of a module that has just been opened.  The module stays in the process from here
 * on, and so does what it is given; the data set makes that visible to leak checkers.
 */
static int
enter_module(imig_context *context, GModule *module, const char *name, imig_error **error)
{
    const imig_backend_ops *ops = NULL;
    union { void *object; imig_backend_entry_fn function; } entry = { NULL };
    int code;

    if (!g_module_symbol(module, "imig_backend_entry", &entry.object) || !entry.object)
        return imig__fail(error, IMIG_ERR_UNSUPPORTED, "it exports no imig_backend_entry");
    g_module_make_resident(module);
    context->sink->given = TRUE;
    g_dataset_set_data(context->sink, "imig", context->sink);
    code = entry.function(&context->sink->api, &ops, error);
    if (code != IMIG_OK)
        return imig__fail(error, code < 0 ? code : IMIG_ERR_BACKEND, "its entry failed: %d", code);
    if (!ops)
        return imig__fail(error, IMIG_ERR_ABI, "its entry gave no operations");
    return add_backend(context, ops, name, error);
}

static int
load_module(imig_context *context, const char *path, const char *name, imig_error **error)
{
    GModule *module = g_module_open(path, G_MODULE_BIND_LOCAL | G_MODULE_BIND_LAZY);
    int code;

    if (!module)
        return imig__fail(error, IMIG_ERR_UNSUPPORTED, "module %s: %s", path, g_module_error());
    code = enter_module(context, module, name, error);
    g_module_close(module); /* without effect once it is resident */
    if (code != IMIG_OK) {
        imig__error_prefix(error, "module %s", path);
        return code;
    }
    imig__context_log(context, IMIG_LOG_INFO, "loaded %s", path);
    return IMIG_OK;
}

static const backend *
backend_of_module(const imig_context *context, const char *module)
{
    for (size_t i = 0; i < context->backends->len; i++)
        if (g_strcmp0(backend_at(context, i)->module, module) == 0)
            return backend_at(context, i);
    return NULL;
}

/* *found stays NULL where there is no such module or it does not want the URI. */
static int
try_module(imig_context *context, const char *name, const char *uri, const imig_backend_ops **found,
           imig_error **error)
{
    const backend *b = backend_of_module(context, name);
    int code = IMIG_OK;

    if (!b) {
        char *file = g_strconcat(name, ".so", NULL);
        char *path = g_build_filename(context->module_directory, file, NULL);

        if (g_file_test(path, G_FILE_TEST_EXISTS))
            code = load_module(context, path, name, error);
        g_free(path);
        g_free(file);
        b = backend_of_module(context, name);
    }
    if (code == IMIG_OK && b && b->ops.probe(uri) == 1)
        *found = &b->ops;
    return code;
}

/* "xenctl" of "xenctl+ssh://host"; NULL where the URI begins with no scheme. */
static char *
scheme_of(const char *uri)
{
    size_t length = strcspn(uri, ":+");

    if (!uri[length] || !g_ascii_isalpha(uri[0]))
        return NULL;
    for (size_t i = 0; i < length; i++)
        if (!g_ascii_isalnum(uri[i]) && uri[i] != '-')
            return NULL;
    return g_ascii_strdown(uri, (gssize) length);
}

int
imig__context_find_backend(imig_context *context, const char *uri, const imig_backend_ops **ops,
                           imig_error **error)
{
    const imig_backend_ops *found = NULL;
    char *scheme;
    int code = IMIG_OK;

    for (size_t i = context->backends->len; i-- > 0;) { /* the program's own before ours */
        const backend *b = backend_at(context, i);

        if (!b->module && b->ops.probe(uri) == 1) {
            *ops = &b->ops;
            return IMIG_OK;
        }
    }
    scheme = scheme_of(uri);
    if (scheme)
        code = try_module(context, scheme, uri, &found, error);
    if (code == IMIG_OK && !found && g_strcmp0(scheme, FALLBACK_MODULE) != 0)
        code = try_module(context, FALLBACK_MODULE, uri, &found, error);
    g_free(scheme);
    if (code == IMIG_OK && !found)
        code = imig__fail(error, IMIG_ERR_UNSUPPORTED,
                          "no backend takes this URI (modules are in %s)",
                          context->module_directory);
    if (code == IMIG_OK)
        *ops = found;
    return code;
}

int
imig__context_open(imig_context *context, const imig_backend_ops *ops, const char *uri,
                   void **ret_state, imig_error **error)
{
    for (size_t i = 0; i < context->backends->len; i++) {
        const backend *b = backend_at(context, i);

        if (&b->ops == ops && b->open)
            return b->open(context, uri, ret_state, error);
    }
    return ops->open(uri, ret_state, error);
}
