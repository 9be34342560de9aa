# SPDX-License-Identifier: Apache-2.0
"""A model that speaks: greedy generation from a model directory. Needs `chatvector[local]`."""
