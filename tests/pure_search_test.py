# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import functools

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxnas import arms, halving, pure_search, versions, window
from jaxnas.controllers import recurrent
from jaxnas.datasets import reward_table as tables
from jaxnas.spaces import recurrent_cell
from jaxnas.strategies import evolution, ppo, random_search, reinforce

SPACE = recurrent_cell.make_space(2)
CONTROLLER = recurrent.make_controller(SPACE.decisions, features=4)
# Adam's own epsilon lets the rounding of a tiny gradient move a parameter.
OPTIMIZER = optax.adam(0.2, eps=1e-3)
STRATEGIES = {
  'reinforce': reinforce.make_reinforce(CONTROLLER, optimizer=OPTIMIZER),
  'random': random_search.make_random_search(SPACE.decisions),
}
TABLE = tables.Table(
  tuple(decision.num_choices for decision in SPACE.decisions),
  np.random.default_rng(0).uniform(size=SPACE.size),
)


def scan_table(strategy, key):
  return pure_search.scan(strategy, TABLE.look_up, key, 4, 6)


SCANS = {
  name: jax.jit(functools.partial(scan_table, strategy))
  for name, strategy in STRATEGIES.items()
}


def test_scans_of_many_seeds_are_single_scans_in_one_program():
  num_traces = 0

  @jax.jit
  def search_all(keys):
    nonlocal num_traces
    num_traces += 1
    return jax.vmap(lambda key: scan_table(STRATEGIES['reinforce'], key))(keys)

  keys = jax.random.split(jax.random.key(1), 3)
  results = search_all(keys)
  assert results.tokens.shape == (3, 4, 6, SPACE.num_tokens)
  for index, key in enumerate(keys):
    single = SCANS['reinforce'](key)
    np.testing.assert_array_equal(results.tokens[index], single.tokens)
    np.testing.assert_array_equal(results.rewards[index], single.rewards)
  others = search_all(jax.random.split(jax.random.key(2), 3))
  assert not np.array_equal(results.tokens, others.tokens)
  assert num_traces == 1


@pytest.mark.slow
def test_settings_of_a_strategy_are_mapped():
  def search_with(rate):
    strategy = reinforce.make_reinforce(CONTROLLER, rate)
    return scan_table(strategy, jax.random.key(1))

  rates = jnp.asarray([1e-12, 2.0])
  results = jax.jit(jax.vmap(search_with))(rates)
  single = jax.jit(lambda: search_with(2.0))()
  np.testing.assert_array_equal(results.tokens[1], single.tokens)
  assert not np.array_equal(results.tokens[0], results.tokens[1])
  # The first batch only sets the baseline.
  for same in (results.tokens[:, 0], results.tokens[:, 1]):
    np.testing.assert_array_equal(same[0], same[1])


def test_a_scan_follows_a_depth_schedule():
  def reward(tokens):
    return jnp.sum(tokens >= 0, axis=1).astype(jnp.float32)

  strategy = STRATEGIES['random']
  for num_active, expected in (
    (None, [10] * 3),
    (4, [4] * 3),
    ([2, 5, 10],) * 2,
  ):
    result = pure_search.scan(
      strategy, reward, jax.random.key(0), 3, 2, num_active
    )
    np.testing.assert_array_equal(
      result.rewards, np.repeat(np.array(expected)[:, None], 2, axis=1)
    )
  with pytest.raises(AssertionError):
    pure_search.scan(strategy, reward, jax.random.key(0), 3, 2, [2, 5])


@pytest.mark.parametrize('name', STRATEGIES)
def test_a_scan_with_a_reward_that_is_not_finite_is_an_error(name):
  def reward(tokens):
    return jnp.where(tokens[:, 0] == 1, jnp.nan, 0.5)

  def scan(key):
    return pure_search.scan(STRATEGIES[name], reward, key, 3, 4)

  with pytest.raises(ValueError, match='finite as a float32, got nan'):
    scan(jax.random.key(0))
  # Where nothing can be raised, the rewards say it, and the state is sound.
  result = jax.jit(scan)(jax.random.key(0))
  assert np.isnan(result.rewards).any()
  chex.assert_tree_all_finite(result.state)


def test_keys_of_rounds_differ_from_each_other_and_from_the_first():
  key = jax.random.key(5)
  keys = [
    pure_search.init_key(key),
    *(pure_search.round_key(key, index) for index in range(3)),
  ]
  data = {tuple(jax.random.key_data(each).tolist()) for each in keys}
  assert len(data) == 4


def learn_by_hand(strategy, key, order, batch_size, replicas, per_update):
  """The same search as a loop over what finishes; returns tokens and state."""
  state = strategy.init(pure_search.init_key(key))
  flying, finished, told = {}, [], []
  asked = 0

  def ask():
    nonlocal asked
    if asked < len(order):
      group_key = pure_search.round_key(key, asked)
      flying[asked] = strategy.ask(state, group_key, batch_size)
      asked += 1

  for _ in range(replicas):
    ask()
  for group in order:
    finished.append(flying.pop(group))
    if len(finished) == per_update:
      proposals = versions.join(finished, replicas)
      rewards = TABLE.look_up(proposals.tokens)
      state, _ = strategy.tell(state, proposals, rewards)
      told.append(proposals.tokens)
      finished = []
    ask()
  return np.stack(told), state


LOCK_STEP, SEVERAL = (1, 1, 6, 3), (4, 2, 3, 3)
SLOW_WINDOWS = (1, 3, 4, 2), (3, 1, 6, 2), (9, 1, 4, 1), (64, 2, 2, 1)
ASYNCHRONOUS = {
  **STRATEGIES,
  **{
    correction: reinforce.make_reinforce(
      CONTROLLER, optimizer=OPTIMIZER, correction=correction
    )
    for correction in ('stale', 'truncated')
  },
  'ppo': ppo.make_ppo(CONTROLLER, num_epochs=2, optimizer=OPTIMIZER),
  'evolution': evolution.make_evolution(SPACE.decisions, 3, 2),
}


@pytest.mark.parametrize(
  ('name', 'window'),
  [
    *(
      (name, window)
      for name in sorted(ASYNCHRONOUS)
      for window in (LOCK_STEP, SEVERAL)
    ),
    *(
      pytest.param(name, window, marks=pytest.mark.slow)
      for name in STRATEGIES
      for window in SLOW_WINDOWS
    ),
  ],
)
def test_a_scan_with_replicas_is_the_loop_over_what_finishes(name, window):
  replicas, per_update, num_rounds, batch_size = window
  strategy, key = ASYNCHRONOUS[name], jax.random.key(4)
  durations = jnp.exp(
    jax.random.normal(jax.random.key(5), (num_rounds * per_update,))
  )
  order = pure_search.finishing_order(durations, replicas)
  result = jax.jit(
    lambda key, order: pure_search.scan(
      strategy,
      TABLE.look_up,
      key,
      num_rounds,
      batch_size,
      replicas=replicas,
      replicas_per_update=per_update,
      order=order,
    )
  )(key, order)
  tokens, state = learn_by_hand(
    strategy,
    jax.random.clone(key),
    order.tolist(),
    batch_size,
    replicas,
    per_update,
  )
  np.testing.assert_array_equal(result.tokens, tokens)
  np.testing.assert_array_equal(
    result.rewards.ravel(),
    TABLE.look_up(tokens.reshape(-1, SPACE.num_tokens)),
  )
  chex.assert_trees_all_close(result.state, state, rtol=1e-4, atol=1e-5)
  if replicas > 1 and num_rounds > 1:
    assert order.tolist() != sorted(order.tolist())


@pytest.mark.parametrize('correction', ['stale', 'truncated'])
def test_a_single_replica_has_nothing_to_correct(correction):
  results = [
    pure_search.scan(
      ASYNCHRONOUS[name],
      TABLE.look_up,
      jax.random.key(6),
      4,
      2,
      replicas_per_update=3,
    )
    for name in (correction, 'reinforce')
  ]
  chex.assert_trees_all_equal(*results)


@pytest.mark.slow
def test_orders_of_many_seeds_are_mapped():
  keys = jax.random.split(jax.random.key(7), 3)
  durations = jnp.exp(jax.random.normal(jax.random.key(8), (3, 12)))

  def search(key, durations):
    order = pure_search.finishing_order(durations, 4)
    return pure_search.scan(
      ASYNCHRONOUS['stale'],
      TABLE.look_up,
      key,
      6,
      1,
      replicas=4,
      replicas_per_update=2,
      order=order,
    ).tokens

  mapped = jax.jit(jax.vmap(search))(keys, durations)
  single = jax.jit(search)
  for row, key in enumerate(keys):
    np.testing.assert_array_equal(mapped[row], single(key, durations[row]))


def test_groups_finish_as_in_a_simulation_of_their_durations():
  for seed, replicas in enumerate((1, 2, 5, 30, 99)):
    durations = np.random.default_rng(seed).lognormal(size=30)
    durations = durations.astype(np.float32)
    running = [(durations[group], group) for group in range(min(replicas, 30))]
    asked, expected = len(running), []
    while running:
      now, group = min(running)
      running.remove((now, group))
      expected.append(group)
      if asked < 30:
        running.append((now + durations[asked], asked))
        asked += 1
    order = pure_search.finishing_order(jnp.asarray(durations), replicas)
    np.testing.assert_array_equal(order, expected)
  # Equal durations: as they were asked for.
  order = pure_search.finishing_order(jnp.ones(30), 4)
  np.testing.assert_array_equal(order, np.arange(30))


def test_a_depth_is_that_of_the_group():
  def reward(tokens):
    return jnp.sum(tokens >= 0, axis=1).astype(jnp.float32)

  result = pure_search.scan(
    STRATEGIES['random'],
    reward,
    jax.random.key(0),
    2,
    2,
    [2, 5, 7, 10],
    replicas=2,
    replicas_per_update=2,
    order=[1, 0, 3, 2],
  )
  np.testing.assert_array_equal(result.rewards, [[5, 5, 2, 2], [10, 10, 7, 7]])


@pytest.mark.parametrize(
  ('changes', 'message'),
  [
    ({'replicas': 0}, 'must be at least 1, got 0 and 1'),
    ({'replicas_per_update': 0}, 'must be at least 1, got 2 and 0'),
    ({'order': [0, 1, 1, 3]}, r'each group from 0 to 3 once, got \[0, 1, 1'),
    ({'order': [1, 3, 0, 2]}, 'Group 3 cannot be the one at place 1 of order'),
  ],
)
def test_a_window_that_cannot_be_is_refused(changes, message):
  window = {'replicas': 2, **changes}
  with pytest.raises(ValueError, match=message):
    pure_search.scan(
      STRATEGIES['random'], TABLE.look_up, jax.random.key(0), 4, 1, **window
    )


@pytest.mark.parametrize(
  'name', ['reinforce', 'stale', 'truncated', 'evolution']
)
def test_a_scan_is_the_fold_that_a_run_makes(name):
  replicas, per_update, num_rounds, batch_size = 4, 2, 4, 3
  num_groups = num_rounds * per_update
  strategy, key = ASYNCHRONOUS[name], jax.random.key(9)
  order = [1, 0, 3, 4, 2, 6, 5, 7]
  arm = arms.Arm(
    name,
    strategy,
    num_groups * batch_size,
    batch_size,
    replicas=replicas,
    replicas_per_update=per_update,
  )
  fold = window.Fold(arm, key, SPACE, num_groups)
  state, tokens = fold.start(), []
  for group in order:
    for row in range(batch_size):
      proposal = group * batch_size + row
      tokens.append(fold.find(state, proposal))
      reward = TABLE.look_up(tokens[-1][None])[0]
      state = fold.record(state, proposal, float(reward)).window
  result = pure_search.scan(
    strategy,
    TABLE.look_up,
    jax.random.clone(key),
    num_rounds,
    batch_size,
    replicas=replicas,
    replicas_per_update=per_update,
    order=order,
  )
  np.testing.assert_array_equal(
    result.tokens.reshape(-1, SPACE.num_tokens), tokens
  )
  chex.assert_trees_all_close(
    result.state, state.strategy, rtol=1e-4, atol=1e-5
  )


RUNGS = halving.Schedule((2, 4, 8), 3)
CURVES = np.random.default_rng(5).uniform(size=(SPACE.size, 3))
CURVES = np.where(
  # A tenth fails before each rung.
  np.logical_or.accumulate(CURVES < 0.1, axis=1),
  np.nan,
  CURVES.cumsum(axis=1),
).astype(np.float32)
POINTS = tables.Curves(TABLE.cardinalities, (2, 4, 8), CURVES)


def halved_by_hand(curves, num_kept):
  """Returns the last rung of each child of a batch, by sorting."""
  last, stay = np.zeros(len(curves), int), list(range(len(curves)))
  for rung, count in enumerate(num_kept):
    alive = [each for each in stay if np.isfinite(curves[each, rung])]
    stay = sorted(alive, key=lambda each: (-curves[each, rung], each))[:count]
    last[stay] = rung + 1
  return last


def halved_early_by_hand(curves, arrived, eta):
  """Returns the last rung of each child, by sorting who has come so far."""
  last = np.zeros(len(curves), int)
  for child, curve in enumerate(curves):
    for rung, others in enumerate(arrived):
      others.append(curve[rung] if np.isfinite(curve[rung]) else -np.inf)
      order = sorted(range(len(others)), key=lambda each: (-others[each], each))
      best = order[: max(1, len(others) // eta)]
      if len(others) - 1 not in best or not np.isfinite(curve[rung]):
        break
      last[child] += 1
  return last


def told_by_hand(pairs, reward, rung, floor):
  """Returns the lower of a reward and that expected at the end."""
  if not np.isfinite(reward):
    return floor
  shown = reward
  for x, y in (np.array(each).T for each in pairs[rung:]):
    slope = np.polyfit(x, y, 1)[0] if np.ptp(x) else 1.0
    reward = y.mean() + max(slope, 0.0) * (reward - x.mean())
    reward = max(reward, floor)
  return min(shown, reward)


def loop_with_rungs(strategy, key, num_rounds, batch_size, order, replicas):
  """Returns tokens, rungs and rewards of a search, by a plain loop."""
  state = strategy.init(pure_search.init_key(key))

  def ask(group):
    return strategy.ask(state, pure_search.round_key(key, group), batch_size)

  asked = {group: ask(group) for group in range(replicas)}
  pairs, arrived, found = ([], []), ([], []), []
  for place, finished in enumerate(order):
    proposals = asked.pop(finished)
    curves = np.asarray(POINTS.look_up(proposals.tokens))
    if replicas > 1:
      last = halved_early_by_hand(curves, arrived, RUNGS.eta)
    else:
      last = halved_by_hand(curves, RUNGS.num_started(batch_size)[1:])
    for curve, reached in zip(curves, last, strict=True):
      for rung in range(reached):
        if np.isfinite(curve[rung + 1]):
          pairs[rung].append(curve[rung : rung + 2])
    rewards = curves[np.arange(batch_size), last]
    told = np.array(
      [
        told_by_hand(pairs, *each, -0.5)
        for each in zip(rewards, last, strict=True)
      ],
      np.float32,
    )
    state, _ = strategy.tell(state, proposals, told)
    found.append((proposals.tokens, last, np.nan_to_num(rewards, nan=-0.5)))
    if place + replicas < num_rounds:
      asked[place + replicas] = ask(place + replicas)
  return [np.stack(each) for each in zip(*found, strict=True)]


@pytest.mark.parametrize('replicas', [1, 3])
def test_a_scan_with_rungs_is_the_plain_loop(replicas):
  strategy = evolution.make_evolution(SPACE.decisions, 12, 4)
  key = jax.random.key(7)
  order = np.arange(8) if replicas == 1 else np.array([1, 0, 3, 4, 2, 6, 5, 7])
  found = jax.jit(
    lambda key: pure_search.scan(
      strategy,
      POINTS.look_up,
      key,
      8,
      9,
      replicas=replicas,
      order=order,
      schedule=RUNGS,
      floor=-0.5,
    )
  )(key)
  tokens, rungs, rewards = loop_with_rungs(
    strategy, key, 8, 9, order.tolist(), replicas
  )
  np.testing.assert_array_equal(found.rungs, rungs)
  np.testing.assert_array_equal(found.rewards, rewards)
  np.testing.assert_array_equal(found.tokens, tokens)
  assert set(np.unique(rungs)) == {0, 1, 2}
  assert (rewards == -0.5).any()


def test_costs_decide_beside_the_reward_who_goes_on():
  def costs(tokens):
    return (tokens == 1).sum(-1, keepdims=True)

  def search(key, **changes):
    strategy = random_search.make_random_search(SPACE.decisions)
    rungs = {'schedule': RUNGS, 'floor': -0.5}
    return pure_search.scan(
      strategy, POINTS.look_up, key, 4, 9, **rungs, **changes
    )

  key = jax.random.key(7)
  found = jax.jit(functools.partial(search, costs=costs))(key)
  halve = jax.jit(functools.partial(halving.halve, RUNGS))
  by_reward = 0
  for tokens, rungs in zip(found.tokens, found.rungs, strict=True):
    curves = POINTS.look_up(tokens)
    np.testing.assert_array_equal(rungs, halve(curves, costs(tokens)))
    by_reward += (rungs != halve(curves)).any()
  assert by_reward
  with pytest.raises(ValueError, match='replicas must be 1, got 2'):
    search(key, costs=costs, replicas=2)
