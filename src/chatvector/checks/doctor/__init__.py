# SPDX-License-Identifier: Apache-2.0
"""Find out what is wrong with a checkpoint of any origin: `examine("org/name").findings`.

The room: `catalogue` (every fault, its consequence and cure), `patient` (a model opened leniently; `config_values`),
one module for each subject (`weight_files`, `architecture` with `expectations` and `layer_parts`, `vocabulary`, `chat`,
`numbers`, `origin`), `examine` (all of them in order) and `mend` (side files that cure what can be cured safely).
"""
