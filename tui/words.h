/* words.h - what the note of a row means for a person, and the row's line in the log of the dashboard. Pure. */
#pragma once

#include "core/hoist.h"
#include "model.h"

bool words_skipped(const HoistRow *row);        /* left out for a reason, which its note tells, and not cancelled by a person */
bool words_fell_back(const HoistRow *row);      /* a picture that could not be prepared and went as it is; its note tells why */
/* One line that may be shown as it is; NULL when the change is not worth one. Caller frees. */
char *words_log(const HoistRow *row, HoistRowChange change, LineKind *kind_out);
