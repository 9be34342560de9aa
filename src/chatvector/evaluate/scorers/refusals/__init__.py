# SPDX-License-Identifier: Apache-2.0
"""Does a reply decline to help, wholly or in part, and in which language? English, Korean, Chinese, Japanese.

Published string matchers agree with human readers from poorly (κ 0.29) to well (0.87), depending on the model whose
replies they read (Röttger et al., XSTest, NAACL 2024). So a pattern's verdict is shown beside a guard model's, with
their agreement. docs/validation.md has what was measured of these patterns, and where they fail.
"""

from __future__ import annotations

from chatvector.evaluate.scorers.refusals.detector import PATTERNS_VERSION, Refusal, find_refusal, same_language

__all__ = ["PATTERNS_VERSION", "Refusal", "find_refusal", "same_language"]
