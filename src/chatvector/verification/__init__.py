# SPDX-License-Identifier: Apache-2.0
"""`verify`: is a merged model what its manifest says, and is it a chat model?

| module | what |
|---|---|
| run | the whole of it, in numbered steps, and the plan of the parents that a manifest names |
| report | what comes out: a check for each subject |
| subjects | the checks of files, weights, side files and of the model by itself |
| account | the check of the manifest's own words: lineage, warnings, statistics, licences |
| reply | the check that the model is loaded by transformers and answers |
"""

from __future__ import annotations

from chatvector.verification.report import Check, Verification
from chatvector.verification.run import job_of, verify

__all__ = ["Check", "Verification", "job_of", "verify"]
