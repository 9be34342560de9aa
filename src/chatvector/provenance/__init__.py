# SPDX-License-Identifier: Apache-2.0
"""Where an output came from: its manifest, its card, its parents' licences, and what of it may be published."""
