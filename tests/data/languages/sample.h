/* Copyright Somebody. All rights reserved. */
/* Parcels in C. */
#ifndef SAMPLE_H
#define SAMPLE_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LIMIT 20
/* The larger of two. */
#define MAX(a, b) ((a) > (b) ? (a) : (b))

typedef struct parcel_s parcel_t;
typedef int (*visit_fn)(parcel_t *parcel, void *data);

/* Makes one. */
EXPORT parcel_t *parcel_new(double weight);
void parcel_free(parcel_t *parcel), parcel_clear(parcel_t *parcel);
int (*parcel_hook(int level))(void);
int (parcel_count)(void);
extern visit_fn parcel_visitors[LIMIT];
static inline int parcel_empty(const parcel_t *parcel) { return parcel == NULL; }

#ifdef __cplusplus
}
#endif
#endif
