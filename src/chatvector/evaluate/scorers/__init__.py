# SPDX-License-Identifier: Apache-2.0
"""What judges one reply: rules, classifiers, guard models, endpoints. Each says which languages it knows."""
