# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Rewards that tests name on a command line."""

import numpy as np

from jaxnas import types

NUMBER = 3


def by_size(architectures, metrics):
  assert len(architectures) == len(metrics['num_params'])
  return metrics['best_accuracy'] - np.log10(metrics['num_params']) / 10


def by_base(architectures, metrics):
  return [
    each.base / metrics['validation_perplexity'][0] for each in architectures
  ]


def by_loss(architectures, metrics):
  return -np.log(metrics['validation_perplexity'])


NEGATIVE = types.Reward(by_loss, floor=-9.0)


def by_train_loss(architectures, metrics):
  return -metrics['train_loss']


def of_another_metric(architectures, metrics):
  return metrics['validation_error']
