# SPDX-License-Identifier: Apache-2.0
"""The command line: one module per verb, thin over the library. Nothing heavy is imported for `--help`."""
