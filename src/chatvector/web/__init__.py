# SPDX-License-Identifier: Apache-2.0
"""The page of `chatvector ui`: talk to a model before and after, turn the knob, look, measure, take the recipe along.

What the page does is in functions that know nothing of Gradio (`visitors`, `knob`, `vector_view`, `measuring`,
`recipes`, `words`); `page` and the `tab_*` modules wire them to components, `server` puts them on 127.0.0.1.
"""
