# SPDX-License-Identifier: Apache-2.0
"""Vocabulary and chat format: which row is which token, how the model is spoken to, and the files that say so.

tokens, sentencepiece_model    token string → row of a model
template, template_files       compiling, rendering and finding chat templates
chat_format, system_prompt     a model's format as one unit; the words a template injects
choice                         whose format the output gets
untrained                      the written criterion for rows that training never touched
rows                           row maps and the vocabulary plan
json_text, files               minimal edits of the target's files
selfcheck                      whether the files make a chat model
"""
