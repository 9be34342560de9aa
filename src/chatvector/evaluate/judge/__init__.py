# SPDX-License-Identifier: Apache-2.0
"""Judges of open replies: a score from 1 to 10 beside a reference answer, or which of two replies is better.

| module | what |
|---|---|
| `protocol` | what is judged, what a judge says, what every judge has |
| `prompts` | the questions put to a judge, in five languages (`wordings/*.toml`) |
| `reading` | its verdicts, read; what cannot be read is counted, never guessed |
| `model_judge` | any model behind a backend as judge; never of itself |
| `identity` | is one of the models the judge? before any is loaded |
| `rule_judge` | a deterministic stand-in for tests, called so in every record |
| `scores` | raw, √-penalised and gated by the language of the reply |
| `labels` | agreement with people's labels; without it a judge is unvalidated |
"""
