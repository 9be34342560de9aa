# SPDX-License-Identifier: Apache-2.0
"""Instructions that a rule can check: generated prompts in five languages, and files in IFEval's form."""
