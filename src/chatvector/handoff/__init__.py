# SPDX-License-Identifier: Apache-2.0
"""A merged model handed over to engines that do not read its directory: llama.cpp and Ollama.

sentencepiece_file      a SentencePiece model of a tokenizer.json, which llama.cpp's converter reads rightly
converter_files         side files as that converter needs them
go_template, modelfile  the chat format in Ollama's template language, and what goes with it
folder                  the directory with all of it
"""
