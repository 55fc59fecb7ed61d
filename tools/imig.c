/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "commands.h"
#include "ui.h"

#include <locale.h>
#include <stdio.h>

static const struct {
    const char *name, *summary; /* NULL: nothing that a user calls */
    int (*run)(int argc, char **argv);
} commands[] = {
    { "observe", "watch hosts, classify, write a snapshot", cmd_observe },
    { "status", "hosts and VMs: load, class, dirty rate, working set", cmd_status },
    { "plan", "decide which VMs move, where, and in which sequence", cmd_plan },
    { "check", "what a plan would do, step by step; also one by hand", cmd_check },
    { "run", "carry a plan out, predicted beside measured", cmd_run },
    { "balance", "observe, plan and run", cmd_balance },
    { "watch", "the same, continuously", cmd_watch },
    { "simulate", "replay a plan in the simulator, or compare all policies", cmd_simulate },
    { "migrate", "one migration, predicted and measured", cmd_migrate },
    { "predict", "what a migration will cost", cmd_predict },
    { "history", "migrations that were carried out, predicted beside measured", cmd_history },
    { "calibrate", "learn the constants of predictions from measured migrations", cmd_calibrate },
    { "affinity", "how workloads slow each other: learn it, show it", cmd_affinity },
    { "dirty", "dirty rate and working set of a VM", cmd_dirty },
    { "agent", "serve a hypervisor to another imig, over standard input and output", cmd_agent },
    { "pipe", NULL, cmd_pipe },
};

static int
print_help(void)
{
    puts("Usage:\n  imig COMMAND [OPTION...] [ARGUMENT...]\n\n"
         "Informed live migration of virtual machines for load balancing.\n\nCommands:");
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
        if (commands[i].summary)
            printf("  %-10s %s\n", commands[i].name, commands[i].summary);
    puts("\n`imig COMMAND --help` lists the options of a command; imig(1) explains them.\n"
         "Exit status: 0 done, 1 failed, 2 wrong usage or input, 3 partial, 130 interrupted.");
    return ui_flush();
}

static int
run_command(int argc, char **argv)
{
    for (size_t i = 0; i < G_N_ELEMENTS(commands); i++)
        if (g_str_equal(argv[0], commands[i].name))
            return commands[i].run(argc, argv);
    return ui_fail(UI_USAGE, "no command \"%s\"; see imig --help", argv[0]);
}

int
main(int argc, char **argv)
{
    /* Characters as the terminal has them; numbers always with a point. */
    setlocale(LC_CTYPE, "");
    if (argc < 2)
        return ui_fail(UI_USAGE, "no command given; see imig --help");
    if (argc == 3 && g_str_equal(argv[1], "help")) {
        char *shown[] = { argv[2], (char *) "--help", NULL };

        return run_command(2, shown);
    }
    if (g_str_equal(argv[1], "--help") || g_str_equal(argv[1], "-h")
        || g_str_equal(argv[1], "help"))
        return print_help();
    if (g_str_equal(argv[1], "--version")) {
        printf("imig %s\n", imig_version());
        return ui_flush();
    }
    return run_command(argc - 1, argv + 1);
}
