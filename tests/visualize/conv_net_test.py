# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Tests of the picture of a network."""

import itertools
import re
from xml.etree import ElementTree

import numpy as np
import pytest

from jaxnas.spaces import conv_net
from jaxnas.spaces import known_conv_nets as known
from jaxnas.types import AnchorPoint
from jaxnas.visualize import conv_net as pictures

SVG = '{http://www.w3.org/2000/svg}'


def random_net(num_layers, probability, **settings):
  """Returns a network whose layers read an earlier one so often."""
  space = conv_net.make_space(num_layers, **settings)
  generator = np.random.default_rng(num_layers)
  tokens = []
  for decision in space.decisions:
    if isinstance(decision, AnchorPoint):
      tokens += list(generator.random(decision.num_tokens) < probability)
    else:
      tokens.append(generator.integers(decision.num_choices))
  return space.decode(np.array(tokens, np.int32))


POOLED = random_net(9, 0.3, strides=(1, 2, 3), pool_after=(2, 5, 8))
NETS = {
  'figure_7': known.FIGURE_7,
  'one_layer': known.make_chain(1),
  'chain': known.make_chain(6),
  'dense': known.make_dense(15),
  'resnet': known.make_resnet(12),
  'branches': random_net(7, 0.0),
  'pooled': POOLED,
  'deep': random_net(40, 0.1, strides=(1, 2), merge='add'),
  'deep_and_dense': random_net(30, 0.8),
}


@pytest.fixture(params=NETS)
def net(request):
  return NETS[request.param]


def groups(root, name):
  """Returns what carries an attribute, by its value."""
  found = [g for g in root.iter(f'{SVG}g') if g.get(name) is not None]
  assert len({group.get(name) for group in found}) == len(found)
  return {group.get(name): group for group in found}


def boxes(root):
  """Returns left, top, right and bottom of every box, the classifier last."""
  found = []
  for rectangle in root.iter(f'{SVG}rect'):
    if rectangle.get('rx'):
      left, top, width, height = (
        float(rectangle.get(name)) for name in ('x', 'y', 'width', 'height')
      )
      found.append((left, top, left + width, top + height))
  return found


def lines(root):
  """Returns the points of every line, bends made square, by source, target."""
  found = {}
  for group in root.iter(f'{SVG}g'):
    if group.get('data-from') is not None:
      path, same, _ = group.iter(f'{SVG}path')
      assert path.get('d') == same.get('d')
      x, y, *rest = map(
        float,
        re.findall(r'-?[\d.]+', re.sub('A.{,60}? 0 0 .', ' ', path.get('d'))),
      )
      if len(rest) == 1:
        points = [(x, y), (x, *rest)]
      else:
        _, lane, _, _, _, end, tip = rest
        points = [(x, y), (lane, y), (lane, end), (tip, end)]
      key = group.get('data-from'), group.get('data-to')
      assert key not in found
      found[key] = points
  return found


def segments(points):
  """Yields the parts of a line as left, top, right and bottom."""
  for (x0, y0), (x1, y1) in itertools.pairwise(points):
    yield min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)


def is_apart(first, second):
  return (
    first[2] <= second[0]
    or second[2] <= first[0]
    or first[3] <= second[1]
    or second[3] <= first[1]
  )


def distance(point, box):
  """Returns how far a point is from the sides of a box, outside of it."""
  x, y = point
  return max(box[0] - x, x - box[2], box[1] - y, y - box[3])


def text_of(element):
  return ''.join(element.itertext())


def test_every_layer_is_described(net):
  root = ElementTree.fromstring(pictures.draw_net(net, 'a title'))
  drawn = groups(root, 'data-layer')
  assert list(drawn) == [str(number) for number in range(len(net.layers))]
  for number, layer in enumerate(net.layers):
    labels = [text.text for text in drawn[str(number)].iter(f'{SVG}text')]
    strides = f'stride {layer.stride_height} × {layer.stride_width}'
    assert labels == [
      str(number),
      f'{layer.height} × {layer.width}',
      f'{layer.filters} filters',
      *([] if strides == 'stride 1 × 1' else [strides]),
    ]
  assert set(groups(root, 'data-pool')) == set(map(str, net.pool_after))


def test_every_connection_is_a_line_of_its_sources_color(net):
  root = ElementTree.fromstring(pictures.draw_net(net))
  expected = set()
  for number, layer in enumerate(net.layers):
    for source in layer.inputs or ('image',):
      expected.add((str(source), str(number)))
  expected |= {(str(source), 'classifier') for source in net.outputs}
  assert set(lines(root)) == expected
  drawn = groups(root, 'data-layer')
  for group in root.iter(f'{SVG}g'):
    source = group.get('data-from')
    if source in drawn:
      _, line, arrow = group.iter(f'{SVG}path')
      color = drawn[source].find(f'{SVG}rect').get('stroke')
      assert line.get('stroke') == arrow.get('fill') == color


def test_lines_never_lie_on_each_other(net):
  root = ElementTree.fromstring(pictures.draw_net(net))
  parts = [part for points in lines(root).values() for part in segments(points)]
  for across, along in ((0, 1), (1, 0)):
    parallel = [
      (part[across], part[along], part[along + 2])
      for part in parts
      if part[across] == part[across + 2]
    ]
    for first, second in itertools.combinations(parallel, 2):
      if first[1] < second[2] and second[1] < first[2]:
        # Nor so near to each other that they would look like one.
        assert abs(first[0] - second[0]) > 2.5


def test_lines_pass_no_box_but_touch_their_own(net):
  root = ElementTree.fromstring(pictures.draw_net(net))
  image, *layers, classifier = boxes(root)
  own = {
    'image': image,
    'classifier': classifier,
    **{str(number): box for number, box in enumerate(layers)},
  }
  assert len(own) == len(net.layers) + 2
  for (source, target), points in lines(root).items():
    for part in segments(points):
      assert all(is_apart(part, box) for box in own.values())
    assert distance(points[0], own[source]) < 0.01
    # The arrow fills the rest.
    assert distance(points[-1], own[target]) == pytest.approx(6, abs=0.01)


def test_boxes_are_stacked_and_all_lies_inside(net):
  root = ElementTree.fromstring(pictures.draw_net(net, 'a title'))
  _, _, width, height = map(float, root.attrib['viewBox'].split())
  drawn = boxes(root)
  for below, above in itertools.pairwise(drawn):
    assert above[3] < below[1]
    assert (above[0], above[2]) == (below[0], below[2])
  parts = [part for points in lines(root).values() for part in segments(points)]
  for left, top, right, bottom in (*drawn, *parts):
    assert 0 < left <= right < width
    assert 0 < top <= bottom < height


@pytest.mark.parametrize('title', ['', 'a title'])
def test_no_line_passes_under_text(net, title):
  root = ElementTree.fromstring(pictures.draw_net(net, title))
  drawn = boxes(root)
  parts = [part for points in lines(root).values() for part in segments(points)]
  right = max(part[2] for part in parts)
  top, bottom = drawn[-1][1], drawn[0][3]
  for text in root.iter(f'{SVG}text'):
    x, y = float(text.get('x')), float(text.get('y'))
    if not top < y < bottom:
      continue
    if text.text == '2 × 2 max pool':
      assert x > right
      continue
    # Inside of a box, which no line enters, in letters of the usual width.
    size = float(text.get('font-size'))
    length = 0.58 * size * len(text.text)
    start = x - (length / 2 if text.get('text-anchor') == 'middle' else 0)
    assert any(
      box[0] <= start
      and start + length <= box[2]
      and box[1] <= y - 0.8 * size
      and y <= box[3]
      for box in drawn
    ), text.text


def test_a_pooling_is_between_two_boxes():
  root = ElementTree.fromstring(pictures.draw_net(POOLED))
  drawn = boxes(root)
  for number, group in groups(root, 'data-pool').items():
    band = group.find(f'{SVG}rect')
    top, height = float(band.get('y')), float(band.get('height'))
    below, above = drawn[int(number) + 1], drawn[int(number) + 2]
    assert above[3] < top
    assert top + height < below[1]
    # All lines that pass at this height cross it.
    left, width = float(band.get('x')), float(band.get('width'))
    for points in lines(root).values():
      for x, _ in points:
        assert left <= x <= left + width


def test_text_of_a_network():
  layers = (
    conv_net.ConvLayer(3, 5, 8),
    conv_net.ConvLayer(1, 7, 12, 2, 1, (0,)),
    conv_net.ConvLayer(3, 3, 16),
    conv_net.ConvLayer(5, 5, 4, inputs=(0, 1)),
  )
  net = conv_net.ConvNet(layers, 'concat', (1,))
  assert pictures.to_text(net).splitlines() == [
    'layer 0: 3 x 5, 8 filters, reads the image',
    'layer 1: 1 x 7, 12 filters, stride 2 x 1, reads layer 0',
    'everything so far: 2 x 2 max pool',
    'layer 2: 3 x 3, 16 filters, reads the image',
    'layer 3: 5 x 5, 4 filters, reads layers 0, 1',
    'classifier: reads layers 2, 3',
  ]


def test_the_legend_says_how_inputs_are_joined():
  for net, expected in (
    (known.make_dense(3), 'inputs of a box are concatenated'),
    (known.make_resnet(4), 'inputs of a box are added'),
    (POOLED, 'all that passes a gray band is max pooled'),
  ):
    assert expected in pictures.draw_net(net)
  assert 'inputs of a box' not in pictures.draw_net(known.make_chain(3))


def test_titles_are_escaped(tmp_path):
  path = tmp_path / 'net.svg'
  pictures.write_net(path, known.make_chain(2), 'a < b & c\x07')
  root = ElementTree.parse(path).getroot()
  assert root.findtext(f'{SVG}title') == 'a < b & c'
  assert 'classifier: reads layer 1' in text_of(root.find(f'{SVG}desc'))
  pictures.write_net(path, known.make_chain(2))
  root = ElementTree.parse(path).getroot()
  assert root.findtext(f'{SVG}title') == 'Convolutional network of 2 layers'
