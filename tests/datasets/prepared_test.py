# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

import pathlib
import sys

import pytest

from jaxnas.datasets import prepared


def _write(temporary):
  (temporary / 'made').mkdir()
  (temporary / 'made' / 'file').write_text('text')
  return temporary / 'made'


def test_root_is_chosen_or_from_the_environment_or_in_the_home(monkeypatch):
  monkeypatch.setenv('HOME', 'someone')
  monkeypatch.setenv('JAXNAS_DATA_DIR', 'data')
  assert prepared.data_root('~/a') == pathlib.Path('someone/a')
  assert prepared.data_root() == prepared.data_root('') == pathlib.Path('data')
  monkeypatch.delenv('JAXNAS_DATA_DIR')
  assert prepared.data_root() == pathlib.Path('someone/.cache/jaxnas')


@pytest.fixture
def passing_root(monkeypatch):
  """An environment that names no folder, and a root that other tests lack."""
  monkeypatch.delenv('JAXNAS_DATA_DIR', raising=False)
  monkeypatch.delenv('HOME', raising=False)
  prepared._passing_root.cache_clear()
  yield
  prepared._passing_root.cache_clear()


def test_without_a_home_data_is_kept_by_the_process(
  monkeypatch, passing_root, caplog
):
  monkeypatch.setattr('os.path.expanduser', lambda path: path)
  folder = prepared.data_root()
  assert folder.is_dir()
  assert prepared.data_root() == folder
  (line,) = caplog.messages
  assert 'JAXNAS_DATA_DIR' in line
  with pytest.raises(
    ValueError, match=r"There is no home folder for '~/a'; set HOME"
  ):
    prepared.data_root('~/a')


def test_a_home_in_which_nothing_can_be_written(
  monkeypatch, passing_root, tmp_path, caplog
):
  home = tmp_path / 'home'
  home.mkdir()
  monkeypatch.setenv('HOME', str(home))
  monkeypatch.setattr('os.access', lambda *_: False)
  assert prepared.data_root() != home / '.cache/jaxnas'
  assert f'nothing can be written in {home}' in caplog.text
  # What was prepared before can still be read.
  (home / '.cache/jaxnas').mkdir(parents=True)
  assert prepared.data_root() == home / '.cache/jaxnas'


def test_a_folder_that_is_not_utf8_is_refused_or_not_used(
  monkeypatch, passing_root, tmp_path, caplog
):
  bad = f'{tmp_path}/\udcff'
  with pytest.raises(ValueError, match=r"udcff' is not UTF-8, which"):
    prepared.data_root(bad)
  monkeypatch.setenv('HOME', bad)
  assert prepared.data_root().is_dir()
  assert 'is not UTF-8' in caplog.text


def test_folder_appears_whole_and_alone(tmp_path):
  prepared.write_whole(tmp_path / 'a' / 'b', _write)
  assert (tmp_path / 'a' / 'b' / 'file').read_text() == 'text'
  assert [path.name for path in (tmp_path / 'a').iterdir()] == ['b']


def test_second_writer_leaves_what_the_first_wrote(tmp_path):
  folder = tmp_path / 'b'

  def write(temporary):
    prepared.write_whole(folder, _write)
    return _write(temporary)

  prepared.write_whole(folder, write)
  assert (folder / 'file').read_text() == 'text'
  assert [path.name for path in tmp_path.iterdir()] == ['b']


def test_failed_writing_leaves_nothing(tmp_path):
  def fail(temporary):
    _write(temporary)
    raise KeyboardInterrupt

  with pytest.raises(KeyboardInterrupt):
    prepared.write_whole(tmp_path / 'b', fail)
  assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
  'module', ['tensorflow_datasets', 'importlib_resources']
)
def test_missing_package_is_named(monkeypatch, module):
  prepared.check_tfds('mnist')
  monkeypatch.setitem(sys.modules, module, None)
  assert not prepared.has_array_record()
  with pytest.raises(ValueError, match=r"'mnist' needs tensorflow-datasets"):
    prepared.check_tfds('mnist')


@pytest.mark.parametrize('error', [TypeError, AttributeError, ImportError])
def test_a_broken_package_is_as_good_as_none(monkeypatch, error):
  def fail(name):
    raise error('Descriptors cannot be\ncreated directly.')

  monkeypatch.setattr(prepared.importlib, 'import_module', fail)
  assert not prepared.has_array_record()
  with pytest.raises(
    ValueError, match=f'{error.__name__}: Descriptors cannot be '
  ):
    prepared.check_tfds('mnist')


def test_tfds_says_nothing(capfd):
  with prepared.quiet_tfds() as tfds:
    print('Preparing ...')
    assert tfds.__name__ == 'tensorflow_datasets'
  assert capfd.readouterr() == ('', '')
