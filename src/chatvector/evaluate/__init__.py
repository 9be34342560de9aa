# SPDX-License-Identifier: Apache-2.0
"""Measuring what a model says: the same questions to every model, marks, figures with intervals, a report.

| module or room | what |
|---|---|
| task, items, tasks | what a task is, the items that come with the package, and the tasks, one module a subject |
| own_task, halves, harness | tasks of one's own, half of a task, tasks of lm-evaluation-harness |
| catalogue, registry | the tasks and suites of the package as data, and the choice among them by name |
| request, opening, services | what is to be evaluated: jobs, models by name, judges and scorers by name |
| run | `evaluate`: the whole of it, in numbered steps |
| conversation, cache, cached_backend, cached_scorer, kept | asking in batches; what was said is kept |
| marking, scorers, riders, judge, languages, thinking | from replies to marks |
| tally, statistics, summary, guard_agreement | from marks to rows: figures, intervals, differences, warnings |
| results, records, saving, machine | what is written: results.json, the items files, this run's part |
| gates, comparison, merit | what is required, two results item by item, one figure for a setting |
| sweep, sweep_report, sweep_picture, sweep_saving | along the scale of one live merge |
| report, redaction | pages for people, and what they do not show |
"""
