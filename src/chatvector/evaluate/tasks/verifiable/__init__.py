# SPDX-License-Identifier: Apache-2.0
"""Instructions that a rule can check, in five languages: generated prompts, and files in IFEval's form."""
