# SPDX-License-Identifier: Apache-2.0
"""Scorers of single replies: rules, classifiers, guard models, endpoints. Each says which languages it knows."""
