# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import csv
import dataclasses

import jax
import numpy as np
import pytest

from experiments import classify_images
from jaxnas.children import conv_net
from jaxnas.datasets import image_preprocessing
from jaxnas.export import image_weights, weights
from jaxnas.spaces import known_conv_nets
from jaxnas.training import long_images

SHAPE = (4, 5, 1)
PIXELS = np.random.default_rng(0).integers(0, 256, (9, *SHAPE)).astype(np.uint8)
PIXELS[0, 0, 0] = 255


@pytest.fixture(scope='module')
def made():
  net = known_conv_nets.make_chain(1, 2)
  params, batch_stats = conv_net.make_network(net, SHAPE, 3).init(
    jax.random.key(0)
  )
  return image_weights.ImageWeights(
    params=params,
    batch_stats=batch_stats,
    architecture=net,
    image_shape=SHAPE,
    num_classes=3,
    statistics=image_preprocessing.measure(PIXELS, 'standardize'),
    recipe=long_images.Recipe(evaluation_batch_size=4),
    facts={},
  )


@pytest.fixture
def config(made, tmp_path):
  image_weights.write_weights(tmp_path / 'weights.npz', made)
  return classify_images.Config(
    weights=str(tmp_path / 'weights.npz'), data_dir=str(tmp_path / 'images.npz')
  )


def save(config, **arrays):
  np.savez(config.data_dir, **arrays)


def test_labels_and_probabilities_are_a_table(config, made, capsys):
  expected = np.asarray(
    jax.nn.softmax(image_weights.make_classifier(made)(PIXELS))
  )
  save(config, x=PIXELS)
  classify_images.run(config)
  printed = capsys.readouterr()
  assert printed.err == ''
  header, *rows = csv.reader(printed.out.splitlines())
  assert header == ['image', 'label', *(f'probability_{i}' for i in range(3))]
  values = np.array(rows, float)
  np.testing.assert_array_equal(values[:, 0], range(9))
  np.testing.assert_array_equal(values[:, 1], expected.argmax(1))
  np.testing.assert_allclose(values[:, 2:], expected, rtol=1e-4)


def test_the_accuracy_is_told_beside_the_table(config, made, capsys, tmp_path):
  labels = image_weights.make_classifier(made)(PIXELS).argmax(1)
  labels[:3] = (labels[:3] + 1) % 3
  save(config, x_test=PIXELS, y_test=labels)
  out = tmp_path / 'labels.csv'
  classify_images.run(dataclasses.replace(config, out=str(out)))
  printed = capsys.readouterr()
  assert printed.out == ''
  assert f'Wrote 9 labels to {out}.\n' in printed.err
  assert 'Accuracy on x_test: 66.67 % of 9 images, 95 % inter' in printed.err
  header, *rows = csv.reader(out.read_text().splitlines())
  assert header[-1] == 'truth'
  np.testing.assert_array_equal([int(row[-1]) for row in rows], labels)
  classify_images.run(config)
  assert capsys.readouterr().out == out.read_text()


def test_another_scale_is_refused_or_brought_to_that_of_training(
  config, capsys
):
  save(config, x=PIXELS)
  classify_images.run(config)
  expected = capsys.readouterr().out
  save(config, x=np.float32(PIXELS / 255))
  with pytest.raises(ValueError, match=r'x: values go up to 1, .* --rescale'):
    classify_images.run(config)
  assert capsys.readouterr().out == ''
  classify_images.run(dataclasses.replace(config, rescale=True))
  printed = capsys.readouterr()
  assert 'are multiplied by 255, to the scale of the trainin' in printed.err
  one, other = (
    np.array([*csv.reader(text.splitlines()[1:])], float)
    for text in (printed.out, expected)
  )
  np.testing.assert_allclose(one, other, rtol=1e-3)
  # What has the scale is left as it is.
  save(config, x=PIXELS)
  classify_images.run(dataclasses.replace(config, rescale=True))
  printed = capsys.readouterr()
  assert (printed.out, printed.err) == (expected, '')


@pytest.mark.parametrize(
  ('arrays', 'settings', 'message'),
  [
    ({'z': PIXELS}, {}, 'it holds z'),
    ({'x': PIXELS}, {'images': 'z'}, 'has no z; it holds x'),
    ({'x': PIXELS[:, :3]}, {}, r'must have the shape \[n, 4, 5, 1\]'),
    ({'x': PIXELS, 'y': np.full(9, 3)}, {}, 'y has the class 3, .* 3 classes'),
    ({'x': PIXELS / 127.5 - 1}, {'rescale': True}, 'start at -'),
  ],
)
def test_what_is_wrong_is_said_in_a_line(
  config, capsys, arrays, settings, message
):
  save(config, **arrays)
  with pytest.raises(ValueError, match=message) as error:
    classify_images.run(dataclasses.replace(config, **settings))
  assert '\n' not in str(error.value)
  assert capsys.readouterr().out == ''


@pytest.mark.parametrize('name', ['weights.npz', 'images.npz'])
def test_the_table_takes_the_place_of_no_source(config, name, tmp_path):
  save(config, x=PIXELS)
  before = (tmp_path / name).read_bytes()
  with pytest.raises(ValueError, match=rf'overwrite .*{name}, from which it'):
    classify_images.run(dataclasses.replace(config, out=str(tmp_path / name)))
  assert (tmp_path / name).read_bytes() == before


def test_weights_that_do_not_fit_are_told(config, tmp_path):
  save(config, x=PIXELS)
  path = tmp_path / 'weights.npz'
  content = path.read_bytes()
  path.write_bytes(content[: len(content) // 2])
  with pytest.raises(ValueError, match=r'weights.npz is damaged'):
    classify_images.run(config)
  weights.write_weights(path, {'params': {'w': np.zeros(2)}}, ('a',), 'lstm')
  with pytest.raises(ValueError, match='holds a language model, not an image'):
    classify_images.run(config)


def test_a_network_that_diverged_is_told(config, made, tmp_path):
  save(config, x=PIXELS)
  params = jax.tree.map(lambda leaf: leaf * np.nan, made.params)
  image_weights.write_weights(
    tmp_path / 'weights.npz', made._replace(params=params)
  )
  with pytest.raises(ValueError, match='logits that are not finite'):
    classify_images.run(config)
