# SPDX-License-Identifier: Apache-2.0
"""What is inside a checkpoint, a chat vector or a pair: norms, cosines, ranks, as data, tables and pictures."""
