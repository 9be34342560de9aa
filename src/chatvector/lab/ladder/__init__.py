# SPDX-License-Identifier: Apache-2.0
"""The paper's whole comparison as one recipe: take or train the models, build every rung, ask all the same, report.

Rungs are models side by side: target, target + τ, FT, FT + τ, chat → CP → FT, chat, base + τ (Chat Vector, arXiv
2310.04799v1, table 1). What is trained lies in the output directory; merges are live and on no disk.
"""
