# SPDX-License-Identifier: Apache-2.0
"""lm-evaluation-harness (`chatvector[harness]`): its tasks in our runs, and our backends in its runs.

| module | what |
|---|---|
| `library` | finds and loads the harness's tasks, and says in one line what is missing |
| `sets` | named sets for Korean and for Taiwan |
| `task` | a task of the harness as one of ours: our runner, cache, statistics |
| `group` | several of its tasks as one, such as KMMLU's 45 subjects |
| `adapter` | a backend of ours as a model of the harness |
| `samples` | the harness's `samples_*.jsonl`: read for paired statistics, and written |

`python -m chatvector.evaluate.harness …` is the harness's own command line with the model `chatvector` added.
"""
