# SPDX-License-Identifier: Apache-2.0
"""Open questions of the method, asked of the embedded family: one script a question, results in docs/findings.md.

python -m experiments.findings.scale --items 20 --out scale.json
"""
