// Each product is rounded before it is added, as in fastText's own builds, and so on every processor alike: a fused
// multiplication would change the last bit of a score, and with it the order of two labels that are almost equal.
#pragma once

#if defined(__clang__)
#pragma clang fp contract(off)
#else
#pragma GCC optimize("fp-contract=off")
#endif
