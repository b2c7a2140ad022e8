# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

from xml.etree import ElementTree

from jaxnas.visualize import svg


def test_a_line_of_text_is_an_element_at_its_place():
  element = ElementTree.fromstring(svg.text(1.5, 2, 'a &lt; b', 12))
  assert element.tag == 'text'
  assert element.text == 'a < b'
  assert (element.get('x'), element.get('y')) == ('1.5', '2')
  assert element.get('text-anchor') == 'middle'
