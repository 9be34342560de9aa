# SPDX-License-Identifier: Apache-2.0
"""Measures what models say: every model gets the same questions, its replies are marked, and figures with intervals
and a report are made of the marks.

| module or room | what |
|---|---|
| task, items, tasks | what a task is, the items that come with the package, and the tasks, one module a subject |
| own_task, halves, harness | tasks of one's own, half of a task, tasks of lm-evaluation-harness |
| catalogue, registry | the tasks and suites of the package as data, and the choice among them by name |
| request, opening, services | what is to be evaluated: jobs, models by name, judges and scorers by name |
| run | `evaluate`: a whole evaluation, in numbered steps |
| conversation, cache, cached_backend, cached_scorer, kept | asking in batches and keeping the replies |
| marking, scorers, riders, judge, languages, thinking | from replies to marks |
| tally, statistics, summary, guard_agreement | from marks to rows: figures, intervals, differences, warnings |
| results, records, saving, machine | what is written: results.json, the items files, the record of the run |
| gates, comparison, merit | required figures, comparison of two results item by item, the figure of merit |
| sweep, sweep_report, sweep_picture, sweep_saving | evaluation of one live merge at many scales |
| report, redaction | pages for people, and what is shown instead of harmful texts |
"""
