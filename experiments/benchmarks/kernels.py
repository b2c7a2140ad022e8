# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Counts the operations that a compiled program launches.

On an accelerator each takes some microseconds at least, however little it
computes. The operations are counted in the text of the optimized program, as
`as_text` of a `jax.stages.Compiled` returns it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_COMPUTATION = re.compile(r'^(ENTRY )?%?([\w.\-]+) .*\{\s*$')
_KIND = re.compile(r'= .*?[\s)}]([a-z][\w\-]*)\(')
_TRIPS = re.compile(r'known_trip_count[^0-9]*(\d+)')
_BODY = re.compile(r'body=%?([\w.\-]+)')
_CONDITION = re.compile(r'condition=%?([\w.\-]+)')
_BOUND = re.compile(r'ROOT .* compare\(.*, %?([\w.\-]+)\), direction=LT')
_CALLED = re.compile(r'(?:to_apply|calls|called_computations=\{)=?%?([\w.\-]+)')
_BRANCHES = re.compile(
  r'(?:branch_computations=\{([^}]*)\}|'
  r'true_computation=%?([\w.\-]+), false_computation=%?([\w.\-]+))'
)
_ORIGIN = re.compile(r'op_name="([^"]*)"')
_OPERAND = re.compile(r'%([\w.\-]+)')
_MATMUL = re.compile(r'[\s)}]dot\(|gemm|matmul')
# What launches nothing, and the second halves of what is launched in two.
_NOTHING = {
  'parameter', 'constant', 'tuple', 'get-tuple-element', 'bitcast',
  'after-all', 'partition-id', 'replica-id', 'opt-barrier', 'async-done',
  'copy-done', 'slice-done', 'dynamic-slice-done', 'all-reduce-done',
  'async-update',
}  # fmt: skip


class Count(NamedTuple):
  """The number of launches of a program.

  Attributes:
    once: the launches of a call, with one turn of each loop whose number of
      turns is not known to the compiler.
    turn: the launches of one turn of the outermost such loop with the most; the
      steps of a training are one.
    num_open: the number of such loops.
  """

  once: int
  turn: int
  num_open: int


def count(text: str) -> Count:
  """Counts the launches of a program.

  Of several branches the one with most launches counts.

  Args:
    text: the optimized program.

  Raises:
    ValueError: there is no program in the text.
  """
  computations, entry = _read(text)
  turns: list[int] = []
  num_open = 0

  def launches(name: str, is_outer: bool) -> int:
    nonlocal num_open
    total = 0
    for line in computations.get(name, ()):
      found = _KIND.search(line)
      kind = found[1] if found else ''
      if kind == 'while':
        body = _BODY.search(line)
        trips = _trips(line, computations)
        turn = launches(body[1], is_outer and trips is not None) if body else 0
        if trips is None:
          num_open += 1
          if is_outer:
            turns.append(turn)
        total += turn * (trips or 1)
      elif kind == 'conditional':
        total += max(
          (launches(each, is_outer) for each in _branches(line)), default=0
        )
      elif kind == 'call':
        called = _CALLED.search(line)
        total += launches(called[1], is_outer) if called else 1
      elif kind and kind not in _NOTHING:
        total += 1
    return total

  once = launches(entry, True)
  return Count(once, max(turns, default=0), num_open)


class Launch(NamedTuple):
  """An operation of the steps of a program.

  Attributes:
    name: the name of the operation, unique in the program.
    origin: the path of what it was compiled from, such as
      `'jit(train)/while/body/add'`; without one, that of the loop around it.
    is_matmul: whether it multiplies matrices.
    operands: the names of the operations that it takes the results of.
  """

  name: str
  origin: str
  is_matmul: bool
  operands: tuple[str, ...]


def of_steps(text: str) -> list[Launch]:
  """Returns the operations in the loop over the steps of a training.

  That is the first outermost loop whose number of turns the compiler does not
  know.

  Args:
    text: the optimized program.

  Raises:
    ValueError: there is no such loop.
  """
  computations, entry = _read(text)
  found: list[Launch] = []

  def visit(name: str, origin: str) -> None:
    for line in computations.get(name, ()):
      opcode = _KIND.search(line)
      if not opcode or opcode[1] in _NOTHING:
        continue
      kind = opcode[1]
      own = _ORIGIN.search(line)
      path = own[1] if own else origin
      called = _CALLED.search(line)
      if kind == 'while':
        body = _BODY.search(line)
        if body:
          visit(body[1], path)
      elif kind == 'conditional':
        for each in _branches(line):
          visit(each, path)
      elif kind == 'call' and called:
        visit(called[1], path)
      else:
        inside = computations.get(called[1], []) if called else []
        is_matmul = any(map(_MATMUL.search, [line, *inside]))
        operands = _OPERAND.findall(line[opcode.end() :].split(')')[0])
        found.append(Launch(_name(line), path, is_matmul, tuple(operands)))

  for line in computations[entry]:
    body = _BODY.search(line)
    if body and _trips(line, computations) is None:
      visit(body[1], '')
      return found
  raise ValueError('The program has no loop over steps.')


def _name(line: str) -> str:
  """Returns the name of the operation of a line."""
  return line.removeprefix('ROOT ').split(' = ')[0].lstrip('%')


def _trips(line: str, computations: dict[str, list[str]]) -> int | None:
  """Returns the number of turns of a loop, if the program tells.

  A compiler that does not note it still compares a counter, which JAX starts at
  0, with a constant.
  """
  noted = _TRIPS.search(line)
  if noted:
    return int(noted[1])
  name = _CONDITION.search(line)
  condition = computations.get(name[1], []) if name else []
  bound = next(filter(None, map(_BOUND.search, condition)), None)
  if bound is None:
    return None
  constant = re.compile(
    rf'%?{re.escape(bound[1])} = s32\[\]\S* constant\((\d+)\)'
  )
  found = next(filter(None, map(constant.search, condition)), None)
  return int(found[1]) if found else None


def _branches(line: str) -> list[str]:
  found = _BRANCHES.search(line)
  if not found:
    return []
  listed, *pair = found.groups()
  names = listed.split(',') if listed else pair
  return [name.strip().lstrip('%') for name in names]


def _read(text: str) -> tuple[dict[str, list[str]], str]:
  """Returns the lines of each computation by name, and the entry's name."""
  computations: dict[str, list[str]] = {}
  entry = current = None
  for line in text.splitlines():
    found = None if line.startswith(' ') else _COMPUTATION.match(line)
    if found:
      current = found[2]
      computations[current] = []
      if found[1]:
        entry = current
    elif current and line.startswith('  '):
      computations[current].append(line.strip())
  if entry is None:
    raise ValueError('The text has no line that begins with ENTRY.')
  return computations, entry
