/* fsck STATE-DIR: opens the queue as hoist does after a crash and prints each invariant that does not hold; exit status 1 then, 2 when it
 * cannot be opened. A repair that opening had to make is printed too: a killed process must never damage its queue. */
#include <stdio.h>

#include "fault.h"
#include "store.h"

static int complain(const char *what, const GError *error)
{
    fprintf(stderr, "%s: %s\n", what, error->message);
    return 2;
}

int main(int argc, char **argv)
{
    g_autoptr(GError) error = NULL;
    g_autofree char *notice = NULL;
    g_autoptr(GPtrArray) violations = g_ptr_array_new_with_free_func(g_free);
    if (argc != 2) {
        fprintf(stderr, "usage: fsck STATE-DIR\n");
        return 2;
    }
    (void)fault_quark();
    g_autoptr(Store) store = store_open(argv[1], &notice, &error);
    if (store == NULL)
        return complain(argv[1], error);
    if (!store_check(store, violations, &error))
        return complain("check", error);
    if (notice != NULL)
        g_ptr_array_add(violations, g_steal_pointer(&notice));
    for (guint i = 0; i < violations->len; i++)
        puts(violations->pdata[i]);
    return violations->len > 0 ? 1 : 0;
}
