# SPDX-License-Identifier: Apache-2.0
"""Intervals and tests for marks of what models say. Comparisons are paired by item, and items come in clusters.

| module | what |
|---|---|
| `rates` | Wilson's interval for a share, also of clustered items |
| `bootstrap` | cluster bootstrap of a mean or of any other figure |
| `paired` | two models on the same items: McNemar, Newcombe, sign-flip, swap test |
| `decisions` | Holm, non-inferiority, smallest detectable difference |
| `recovery` | share of another model's gain |
| `spread` | variance between items and between samples |
| `agreement` | Cohen's kappa, Spearman, area under the curve |

Figures are fractions or means in the marks' own unit; intervals are two-sided 95 %. Tests that scipy has are
computed by scipy (`chatvector[eval]`), which is imported when first needed. docs/validation.md has the coverage of
every interval.
"""

from chatvector.evaluate.statistics.rates import Z_95, Rate, rate, wilson

__all__ = ["Z_95", "Rate", "rate", "wilson"]
