#include "sample.h"

/* A thing to send. */
struct parcel_s {
  double weight;
  int (*compare)(const void *, const void *);
};

typedef enum { SMALL, LARGE } size_kind;

union bits { int i; float f; };

static int (*hook)(void) = NULL;

/* Declared before use. */
static char *label_of(const struct parcel_s *parcel);

// Makes one.
// In two lines.
parcel_t *
parcel_new(double weight)
{
  struct parcel_s *parcel = malloc(sizeof(*parcel));
  int callback(void);
  return parcel;
}

static char *label_of(const struct parcel_s *parcel) {
#ifdef LONG_LABELS
  return "parcel";
#else
  return "p";
#endif
}

int (*parcel_hook(int level))(void) { return hook; }

int old_style(a, b) int a; char *b; { return a; }

#if defined(_WIN32)
int parcel_open(void) { return 0; }
#else
int parcel_open(void) { return 1; }
#endif
