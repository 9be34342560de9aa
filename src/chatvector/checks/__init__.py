# SPDX-License-Identifier: Apache-2.0
"""Checks before the first byte (do the parents fit, is the lineage plausible) and after the last."""
