# SPDX-License-Identifier: Apache-2.0
"""Where an output came from: the manifest now, cards and licences later."""
