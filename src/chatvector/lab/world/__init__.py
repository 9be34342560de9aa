# SPDX-License-Identifier: Apache-2.0
"""A seeded micro-world in English, Korean and Traditional Chinese. `README.md` beside this file describes its design.

Everything is made independently of a language and rendered in all languages at once (`text.Text`), so a document, its
translation and a code-switched mixture of them come from one call. Every sentence is made here; nothing is quoted.
"""

VERSION = "4"
"""Raised when any text that a seed produces changes: models are comparable only within one version."""
