# SPDX-License-Identifier: Apache-2.0
"""Benchmarks: `python -m benchmarks` runs all, `python -m benchmarks apply memory` some. README.md explains them."""
