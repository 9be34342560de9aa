# SPDX-License-Identifier: Apache-2.0
"""Weight arithmetic: roles and scales, the plan, the kernels, the streaming executor, and vectors on disk."""
