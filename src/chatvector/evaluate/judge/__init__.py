# SPDX-License-Identifier: Apache-2.0
"""Judges of open replies: they give a score from 1 to 10, or say which of two replies is better.

| module | what |
|---|---|
| `protocol` | what is judged, what a judge returns, and the interface of every judge |
| `prompts` | the questions put to a judge, in five languages (`wordings/*.toml`) |
| `reading` | reads its verdicts; what cannot be read is counted, never guessed |
| `model_judge` | any model behind a backend as a judge; it does not judge itself unless forced |
| `identity` | tells before anything is loaded whether one of the models is the judge |
| `rule_judge` | a deterministic stand-in for tests, named as such in every record |
| `scores` | scores raw, √-penalised and gated by the language of the reply |
| `labels` | agreement with people's labels; without it a judge is unvalidated |
"""
