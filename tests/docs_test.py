# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Runs the code of the README and of `docs/`, and checks their commands.

The Python of a page is one program, run in a folder of its own. A comment
before a block, which readers do not see, makes it small:

    <!-- in the test: OLD => NEW; OLD => NEW -->
"""

import dataclasses
import importlib
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxnas import records
from jaxnas.children import conv_net
from jaxnas.datasets import image_preprocessing
from jaxnas.export import architecture as architecture_file
from jaxnas.export import image_weights, weights
from jaxnas.spaces import known_conv_nets, recurrent_cell
from jaxnas.training import long_images, long_text
from tests.export import exported_files

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').rglob('*.md'))]
BLOCK = re.compile(
  r'(?:<!-- in the test: ([^>]*(?:=>[^>]*)*) -->\n)?```python\n(.*?)```',
  re.DOTALL,
)
COMMAND = re.compile(r'python -m experiments\.(\w+)((?:[^\n`]|\\\n)*)')
# Defined by the launcher, beside what is a field of the settings.
LAUNCHED = {'workdir', 'preset', 'debug', 'help', 'settings'}


def page(name):
  return (ROOT / name).read_text()


def program(text):
  """Returns the Python of a page, at the size of a test."""
  blocks = []
  for changes, block in BLOCK.findall(text):
    for change in filter(None, changes.split(';')):
      old, new = (each.strip() for each in change.split(' => '))
      assert old in block, f'{old!r} is not in the block after {changes!r}'
      block = block.replace(old, new)
    blocks.append(block)
  return '\n\n'.join(blocks)


def run(name, folder):
  """Runs the Python of a page, and returns what it printed."""
  (folder / 'my_program.py').write_text(program(page(name)))
  result = subprocess.run(
    [sys.executable, 'my_program.py'],
    cwd=folder,
    env=os.environ | {'PYTHONPATH': str(ROOT)},
    capture_output=True,
    text=True,
    check=False,
    timeout=300,
  )
  assert not result.returncode, result.stdout + result.stderr
  return result.stdout


@pytest.fixture(scope='module')
def own_child(tmp_path_factory):
  """A folder in which the program of `your_own_child.md` was run."""
  folder = tmp_path_factory.mktemp('child')
  (folder / 'printed.txt').write_text(run('docs/your_own_child.md', folder))
  return folder


@pytest.mark.slow
def test_the_child_is_searched_trained_anew_and_compared(own_child):
  printed = (own_child / 'printed.txt').read_text()
  assert 'proposed by' in printed
  assert 'interval' in printed
  for name in (
    'best.json',
    'curve.png',
    'report.html',
    'rounds.jsonl',
    'manifest.json',
  ):
    assert (own_child / 'runs' / 'sums' / name).stat().st_size > 0
  trials = records.read(own_child / 'runs' / 'sums')
  assert {trial.status for trial in trials} == {'ok'}


def test_the_program_of_the_child_is_short_and_public():
  ((_, block),) = BLOCK.findall(page('docs/your_own_child.md'))
  assert len([line for line in block.splitlines() if line.strip()]) <= 60
  assert set(re.findall(r'(?:from|import) (jaxnas\S*)', block)) == {'jaxnas'}


@pytest.mark.slow
def test_the_child_resumes(own_child, tmp_path):
  folder = tmp_path / 'again'
  shutil.copytree(own_child, folder)
  log = folder / 'runs' / 'sums' / 'trials.jsonl'
  lines = log.read_bytes().splitlines(keepends=True)
  log.write_bytes(b''.join(lines[:11]))
  run('docs/your_own_child.md', folder)
  assert log.read_bytes() == b''.join(lines)


@pytest.mark.parametrize(
  ('name', 'run_folder'),
  [
    ('README.md', 'first'),
    *(
      pytest.param(*each, marks=pytest.mark.slow)
      for each in (
        ('docs/your_own_function.md', 'svm'),
        ('docs/your_own_space.md', 'stacks'),
        ('docs/your_own_reward.md', 'small'),
        ('docs/your_own_strategy.md', 'climbing'),
      )
    ),
  ],
)
def test_a_program_of_a_page_runs(name, run_folder, tmp_path):
  run(name, tmp_path)
  best = json.loads((tmp_path / 'runs' / run_folder / 'best.json').read_text())
  assert best['architecture']


@pytest.mark.slow
def test_an_experiment_of_a_page_is_launched(tmp_path):
  path = tmp_path / 'search_wine.py'
  path.write_text(program(page('docs/your_own_experiment.md')))

  def start(*flags):
    return subprocess.run(
      [sys.executable, str(path), '--workdir=run', *flags],
      cwd=tmp_path,
      env=os.environ | {'PYTHONPATH': str(ROOT)},
      capture_output=True,
      text=True,
      check=False,
      timeout=300,
    )

  quick = '--widths=4', '--num_steps=4', '--num_winners=1', '--num_seeds=2'
  halved = '--halving=2', '--rungs=2,4'
  done = start(*quick, *halved, '--num_trials=8', '--trials_per_update=4')
  assert not done.returncode, done.stdout + done.stderr
  assert '"rung":1,' in (tmp_path / 'run' / 'trials.jsonl').read_text()
  assert (tmp_path / 'run' / 'report.html').exists()
  wrong = start('--widths=0')
  assert wrong.returncode == 1
  assert wrong.stderr.startswith('error: --widths must be from 1 to')


def execute(name):
  """Runs the Python of a page in this process, and returns its names."""
  names = {'__name__': 'page'}
  exec(program(page(name)), names)
  return names


@pytest.mark.slow
def test_the_page_of_runs_reads_one(own_child, monkeypatch, tmp_path):
  shutil.copytree(own_child / 'runs', tmp_path / 'runs')
  monkeypatch.chdir(tmp_path)
  names = execute('docs/runs.md')
  assert names['best'].reward == max(
    row['reward'] for row in names['rows'] if row['status'] == 'ok'
  )


def test_the_loop_without_a_run_learns(capsys):
  names = execute('docs/architecture.md')
  assert len(names['cells']) == 16
  # A quarter of all activations are tanh at first.
  assert float(capsys.readouterr().out.split()[0]) > 0.25


def test_the_found_cell_is_a_flax_cell(monkeypatch, tmp_path):
  monkeypatch.chdir(tmp_path)
  folder = tmp_path / 'runs' / 'recurrent_cell'
  folder.mkdir(parents=True)
  architecture_file.write_architecture(
    folder / 'best.json', recurrent_cell.KNOWN_CELLS['nascell']
  )
  names = execute('docs/results/recurrent_cells.md')
  outputs, _ = names['rnn'].init_with_output(
    jax.random.key(0), jnp.ones((2, 3, 5))
  )
  assert outputs.shape == (2, 3, 64)


def test_a_found_cell_is_taken_along(monkeypatch, tmp_path):
  monkeypatch.chdir(tmp_path)
  monkeypatch.syspath_prepend(tmp_path)
  folder = tmp_path / 'runs' / 'recurrent_cell'
  folder.mkdir(parents=True)
  architecture_file.write_architecture(
    folder / 'best.json', recurrent_cell.KNOWN_CELLS['nascell']
  )
  names = execute('docs/export.md')
  assert names['outputs'].shape == (8, 20, 64)
  # What the page shows of the file is in it.
  source = (tmp_path / 'my_cell.py').read_text()
  shown = re.findall(
    '^    ((?:leaf|node|injected).*)$', page('docs/export.md'), re.M
  )
  assert len(shown) == 7
  for line in shown:
    assert f'    {line}\n' in source
  ran = exported_files.run_files(
    [tmp_path / f'my_{n}.py' for n in ('cell', 'net')]
  )
  assert [code for code, _ in ran] == [0, 0], ran
  # The two lines of the README, in a module.
  (lines,) = re.findall(
    r'two lines:\n\n    (from my_cell .*)\n    (.*)\n', page('README.md')
  )
  body = '\n'.join(f'    {line}' for line in (*lines, 'return outputs'))
  exec(
    'class Reader(nn.Module):\n  @nn.compact\n'
    f'  def __call__(self, inputs):\n{body}\n',
    names,
  )
  outputs, _ = names['Reader']().init_with_output(
    jax.random.key(0), names['inputs']
  )
  assert outputs.shape == (8, 20, 64)
  sys.modules.pop('my_cell')


def test_searches_of_the_table_are_one_program(capsys):
  rewards = execute('docs/results/base2_bench.md')['table'].rewards
  best = float(capsys.readouterr().out)
  assert np.quantile(rewards, 0.9) < best <= rewards.max()


def test_what_was_trained_is_used(monkeypatch, tmp_path, capsys):
  monkeypatch.chdir(tmp_path)
  recipe = long_text.Recipe(features=3, num_layers=1)
  vocabulary = ('<unk>', 'the', 'value', 'of', '.')
  model = long_text.make_model(recipe, len(vocabulary), 'lstm')
  carry, tokens = model.initialize_carry(1), jnp.zeros((1, 1), jnp.int32)
  params = model.init(jax.random.key(0), carry, tokens, method='logits')
  for name in ('train', 'train_conv'):
    (tmp_path / 'runs' / name).mkdir(parents=True)
  weights.write_weights(
    'runs/train/weights.npz',
    params,
    vocabulary,
    'lstm',
    recipe=dataclasses.asdict(recipe),
    dataset='pydoc',
    level='word',
  )
  pixels = np.random.default_rng(0).integers(0, 255, (6, 4, 4, 1), np.uint8)
  net = known_conv_nets.make_chain(1, 2)
  child = conv_net.make_network(net, (4, 4, 1), 2).init(jax.random.key(0))
  image_weights.write_weights(
    'runs/train_conv/weights.npz',
    image_weights.ImageWeights(
      *child,
      architecture=net,
      image_shape=(4, 4, 1),
      num_classes=2,
      statistics=image_preprocessing.measure(pixels, 'standardize'),
      recipe=long_images.Recipe(),
      facts={},
    ),
  )
  np.savez('images.npz', x=pixels)
  names = execute('docs/using.md')
  assert names['text'].startswith('the value of')
  assert names['classify'](pixels).shape == (6, 2)
  assert len(capsys.readouterr().out.splitlines()[-1].split()) >= 6


def test_splits_are_apart():
  names = execute('docs/your_own_data.md')
  rows = np.concatenate(names['splits'])
  assert sorted(rows) == list(range(len(names['x'])))


def test_an_arm_is_repeated():
  names = execute('docs/verdicts.md')
  assert len({arm.identity for arm in names['arms']}) == 10


def test_the_python_of_every_page_is_run():
  tested = re.findall(
    r"'((?:docs/|README)[^']*md)'", page('tests/docs_test.py')
  )
  for path in PAGES:
    if '```' in path.read_text():
      assert str(path.relative_to(ROOT)) in tested


def test_the_readme_is_short():
  assert len(page('README.md').splitlines()) <= 200


@pytest.mark.parametrize('path', PAGES, ids=lambda path: path.name)
def test_commands_are_there(path):
  text = path.read_text()
  for name, arguments in COMMAND.findall(text):
    if name == 'search_wine':  # That of `your_own_experiment.md`.
      continue
    module = importlib.import_module(f'experiments.{name}')
    known = {field.name for field in dataclasses.fields(module.Config)}
    for flag in re.findall(r'--(\w+)', arguments):
      names = known | LAUNCHED
      assert flag in names or flag.removeprefix('no') in names, (name, flag)
  targets = re.findall(r'^([\w-]+):', (ROOT / 'Makefile').read_text(), re.M)
  for target in re.findall(r'(?:`|^    )make ([\w-]+)', text, re.M):
    assert target in targets


@pytest.mark.parametrize('path', PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path):
  text = path.read_text()
  links = re.findall(r'\]\(([^)#\s]+)\)|src="([^"]+)"', text)
  for link in (one or other for one, other in links):
    if '://' not in link:
      assert (path.parent / link).exists(), link


@pytest.mark.parametrize(
  'path',
  [path for path in PAGES if path.parent.name != 'results'],
  ids=lambda path: path.name,
)
def test_prose_has_short_lines(path):
  is_code = False
  for number, line in enumerate(path.read_text().splitlines(), 1):
    is_code ^= line.startswith('```')
    if not (is_code or line.startswith(('    ', '|', '<!--'))):
      assert len(line) <= 100, f'{path.name}:{number}'


def test_every_page_of_docs_is_linked():
  linked = {
    (path.parent / link).resolve()
    for path in PAGES
    for link in re.findall(r'\]\(([^)#\s]+\.md)\)', path.read_text())
  }
  assert set(PAGES[1:]) <= linked


def test_the_tree_of_the_house_is_as_it_is_told():
  tree = page('docs/architecture.md').split('    jaxnas/\n')[1]
  listed = []
  for line in tree.split('\n    experiments/')[0].splitlines():
    names = re.split(r'\s{2,}', line.strip())[0]
    listed += [name.strip('/') for name in names.split(', ')]
  there = {
    path.name
    for path in (ROOT / 'jaxnas').iterdir()
    if path.suffix == '.py' or (path / '__init__.py').exists()
  }
  assert len(listed) == len(set(listed))
  assert set(listed) <= there
  # A new module need not be told of; a new room must.
  assert {name for name in there if '.' not in name} <= set(listed)
