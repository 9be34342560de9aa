# SPDX-License-Identifier: Apache-2.0
"""Measuring what a model says: scorers of single replies (`scorers`) and intervals (`statistics`)."""
