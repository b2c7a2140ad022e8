# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import json

import jax
import pytest

from experiments import compile_for
from experiments.benchmarks import conv_shapes, kernels, programs, targets

TOY = programs.Sizes(
  num_children=2,
  num_nets=2,
  vocab_size=20,
  features=4,
  num_unrolled=3,
  batch_size=2,
  conv=conv_shapes.Shape((6, 6, 3), 4, (4,), (3,), (3,)),
  num_conv_layers=2,
  num_searches=2,
  num_trials=20,
)
# Two turns of a known loop of two launches, one of an unknown loop of one, a
# branch of three or one, and two launches outside.
PROGRAM = """HloModule jit_f, is_scheduled=true

%body (p: (s32[], f32[4])) -> (s32[], f32[4]) {
  %p = (s32[], f32[4]{0}) parameter(0)
  %g = f32[4]{0} get-tuple-element(%p), index=1
  %f = f32[4]{0} fusion(%g), kind=kLoop, calls=%fused
  %c = (f32[4]{0}, s8[16]{0}) custom-call(%f), custom_call_target="__cublas$gemm"
  ROOT %t = (s32[], f32[4]{0}) tuple(%g, %f)
}

%open_body (p: (s32[], f32[4])) -> (s32[], f32[4]) {
  %p = (s32[], f32[4]{0}) parameter(0)
  ROOT %f = (s32[], f32[4]{0}) fusion(%p), kind=kLoop, calls=%fused
}

%long (p: f32[4]) -> f32[4] {
  %p = f32[4]{0} parameter(0)
  %a = f32[4]{0} copy(%p)
  %b = f32[4]{0} copy(%a)
  ROOT %c = f32[4]{0} copy(%b)
}

%short (p: f32[4]) -> f32[4] {
  %p = f32[4]{0} parameter(0)
  ROOT %a = f32[4]{0} copy(%p)
}

ENTRY %main (x: f32[4]) -> f32[4] {
  %x = f32[4]{0} parameter(0)
  %i = s32[] constant(0)
  %s = (f32[4]{0}, f32[4]{0}, u32[]) copy-start(%x)
  %d = f32[4]{0} copy-done(%s)
  %w = (s32[], f32[4]{0}) while(%d), condition=%cond, body=%body, backend_config={"known_trip_count":{"n":"2"}}
  %o = (s32[], f32[4]{0}) while(%w), condition=%cond, body=%open_body
  %q = f32[4]{0} conditional(%i, %d, %d), branch_computations={%short, %long}
  ROOT %r = f32[4]{0} fusion(%q), kind=kLoop, calls=%fused
}
"""  # noqa: E501


def test_launches_are_counted_with_the_turns_of_loops():
  assert kernels.count(PROGRAM) == kernels.Count(
    once=1 + 2 * 2 + 1 + 3 + 1, turn=1, num_open=1
  )
  with pytest.raises(ValueError, match='no line that begins with ENTRY'):
    kernels.count('HloModule jit_f')


def test_the_operations_of_steps_say_what_they_were_compiled_from():
  text = PROGRAM.replace(
    'body=%open_body', 'body=%open_body, metadata={op_name="f/while"}'
  ).replace(
    '  ROOT %f = (s32[], f32[4]{0}) fusion(%p), kind=kLoop, calls=%fused',
    '  %w = (s32[], f32[4]{0}) while(%p), condition=%cond, body=%body, '
    'backend_config={"known_trip_count":{"n":"5"}}, '
    'metadata={op_name="f/while/body/while"}\n'
    '  ROOT %d = f32[4]{0} dot(%p, %w), metadata={op_name="f/while/body/dot"}',
  )
  assert kernels.of_steps(text) == [
    kernels.Launch('f', 'f/while/body/while', False, ('g',)),
    kernels.Launch('c', 'f/while/body/while', True, ('f',)),
    kernels.Launch('d', 'f/while/body/dot', True, ('p', 'w')),
  ]
  with pytest.raises(ValueError, match='no loop over steps'):
    kernels.of_steps('ENTRY %main (x: f32[]) -> f32[] {\n}')


def test_the_loop_over_steps_is_the_outermost_open_one():
  nested = PROGRAM.replace(
    '  ROOT %f = (s32[], f32[4]{0}) fusion(%p), kind=kLoop, calls=%fused',
    '  %f = (s32[], f32[4]{0}) while(%p), condition=%cond, body=%body, '
    'backend_config={"known_trip_count":{"n":"5"}}\n'
    '  ROOT %e = (s32[], f32[4]{0}) while(%f), condition=%cond, body=%body',
  )
  count = kernels.count(nested)
  assert (count.turn, count.num_open) == (5 * 2 + 2, 2)


# The other bases and depths are other sizes of the same code.
LOWERED = [
  name
  for name in compile_for.PROGRAMS
  if not name.startswith(('recurrent-8', 'recurrent-16'))
]


@pytest.mark.parametrize(
  ('condition', 'turns'),
  [
    # As a TPU's compiler writes it.
    (
      '  %n.8 = s32[]{:T(128)} constant(35)\n'
      '  ROOT %lt = pred[]{:T(512)} compare(%i, %n.8), direction=LT, x={}',
      35,
    ),
    # The bound is data, or not what the counter is compared with.
    ('  ROOT %lt = pred[] compare(%i, %n), direction=LT', None),
    (
      '  %n = s32[] constant(35)\n'
      '  ROOT %lt = pred[] compare(%i, %n.1), direction=LT',
      None,
    ),
  ],
)
def test_turns_are_read_from_the_condition(condition, turns):
  text = PROGRAM.replace(', backend_config={"known_trip_count":{"n":"2"}}', '')
  text = text.replace(
    'ENTRY', f'%cond (p: s32[]) -> pred[] {{\n{condition}\n}}\n\nENTRY'
  )
  count = kernels.count(text)
  if turns is None:
    assert count.num_open == 2
  else:
    # The other loop has the same condition here.
    assert count == kernels.Count(1 + 35 * 2 + 35 * 1 + 3 + 1, 0, 0)


@pytest.mark.parametrize('name', LOWERED)
def test_every_program_is_lowered_for_every_platform(name):
  for platform in ('cpu', 'cuda', 'tpu'):
    program = programs.MAKERS[name](platform, TOY)
    with targets.lowering_for(platform):
      lowered = (
        jax.jit(program.function)
        .trace(*program.arguments)
        .lower(lowering_platforms=(platform,))
      )
    text = lowered.as_text()
    assert 'func.func public @main' in text
    if name == 'recurrent-2':
      # On a CPU children go through the softmax one after another.
      assert ('tensor<2x6x20xf32>' in text) == (platform != 'cpu')


@pytest.mark.slow
def test_the_table_is_printed_and_written(tmp_path, capsys, monkeypatch):
  monkeypatch.setattr(programs, 'Sizes', lambda **sizes: TOY)
  monkeypatch.setattr(programs, 'WIDE', ('recurrent-2',))
  output = tmp_path / 'new' / 'table.json'
  config = compile_for.Config(
    target='cpu',
    programs=('tell', 'recurrent-2'),
    other_children=(4,),
    output=str(output),
  )
  found = compile_for.run(config)
  assert [(each.name, each.num_children) for each in found] == [
    ('tell', 64), ('recurrent-2', 2), ('recurrent-2', 4)
  ]  # fmt: skip
  for each in found:
    assert each.once > 0
    assert each.num_bytes > 0
  assert found[1].turn > 0
  assert found[2].num_bytes > found[1].num_bytes
  printed = capsys.readouterr().out.splitlines()
  assert printed[-3:] == list(map(str, found))
  written = json.loads(output.read_text())
  assert len(written['programs']) == 3
  assert not written['left_out']


def test_a_target_without_a_compiler_is_refused(monkeypatch):
  def fail(**settings):
    raise RuntimeError('No such plugin.\nAnd more.')

  monkeypatch.setattr(targets.topologies, 'get_topology_desc', fail)
  with pytest.raises(ValueError, match='compiles for h100: No such plugin; `m'):
    targets.device('h100')


def test_a_bad_name_is_refused():
  with pytest.raises(ValueError, match="Unknown program 'conv' in programs"):
    compile_for.Config(programs=('conv',))
