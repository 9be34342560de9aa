# SPDX-License-Identifier: Apache-2.0
"""Models as named byte ranges: headers are parsed, weights are read only where and when they are needed."""
