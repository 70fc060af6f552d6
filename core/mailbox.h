/* mailbox.h - a queue of messages between threads; the only place where threads meet.
 *
 * Any thread sends, one thread takes. A mailbox owns what lies in it. Built on pthread, not on GLib's locks, so that the thread
 * sanitizer sees it. wake() is called after each message that made an empty box non-empty; it may only poke (write to an eventfd,
 * curl_multi_wakeup) and must not call back into the mailbox.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct Mailbox Mailbox;
typedef void (*MailboxWake)(void *ctx);

Mailbox *mailbox_new(MailboxWake wake, void *ctx, GDestroyNotify free_message);   /* wake may be NULL */
void     mailbox_free(Mailbox *mb);                                              /* frees what was not taken */
void     mailbox_send(Mailbox *mb, gpointer message);                            /* takes message */
gpointer mailbox_take(Mailbox *mb);                                              /* NULL when empty; caller owns */
gpointer mailbox_wait(Mailbox *mb);          /* blocks; NULL only after mailbox_close and when empty */
void     mailbox_close(Mailbox *mb);         /* ends every mailbox_wait; sends after it are freed */
unsigned mailbox_length(Mailbox *mb);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Mailbox, mailbox_free)
