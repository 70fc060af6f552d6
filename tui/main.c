#include <locale.h>

#include <glib.h>

#include "commands.h"

int main(int argc, char **argv)
{
    (void)argc;
    setlocale(LC_CTYPE, ""); /* not LC_NUMERIC: a decimal comma must not get into JSON, logs or headers */
    g_set_prgname("hoist");
    return command_run(argv);
}
