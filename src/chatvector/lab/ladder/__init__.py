# SPDX-License-Identifier: Apache-2.0
"""The paper's whole comparison as one recipe: take or train the models, build all rungs, ask them the same, report.

Rungs are the models that are compared: target, target + τ, FT, FT + τ, chat → CP → FT, chat, base + τ (Chat Vector,
arXiv 2310.04799v1, table 1). Trained models are in the output directory; merges are live and not written to disk.
"""
