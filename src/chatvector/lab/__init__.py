# SPDX-License-Identifier: Apache-2.0
"""The lab: a synthetic micro-world (`world`), the recipe that trains the embedded family in it (`family`), and
the comparison that `chatvector demo` shows (`demo`).

It is a wind tunnel, not an aeroplane: one million parameters and a world of a few hundred words show how the arithmetic
behaves; they say nothing about how good a large model will be.
"""
