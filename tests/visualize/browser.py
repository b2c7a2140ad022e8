# Copyright 2026 The jaxnas Authors.
# SPDX-License-Identifier: Apache-2.0

"""Drives a Chromium, if there is one, without any package.

The browser is told what to do over a pair of pipes, in the Chrome DevTools
Protocol: JSON messages, each ended by a zero byte.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
import contextlib
import fcntl
import json
import os
import pathlib
import select
import shutil
import subprocess
import sys
import time
from typing import Any

_NAMES = ('chromium', 'chromium-browser', 'google-chrome', 'chrome')
_LIMIT_SECONDS = 60
# The browser reads from descriptor 3 and writes to descriptor 4.
_EXECUTE = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.dup2(int(sys.argv[2]), 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
_FIRST_DESCRIPTOR = 10


def find() -> str | None:
  """Returns the path of a Chromium; `None` if there is none."""
  return next(filter(None, map(shutil.which, _NAMES)), None)


class Page:
  """A page in a browser.

  Attributes:
    problems: what the page wrote to its console as errors, and what it threw.
  """

  def __init__(self, sending: int, receiving: int):
    self._sending, self._receiving = sending, receiving
    self._received = b''
    self._number = 0
    self._session = ''
    self._events: list[dict[str, Any]] = []
    self.problems: list[str] = []
    target = self.call('Target.createTarget', url='about:blank')
    self._session = self.call(
      'Target.attachToTarget', targetId=target['targetId'], flatten=True
    )['sessionId']
    for domain in ('Page', 'Runtime', 'Log'):
      self.call(f'{domain}.enable')

  def call(self, method: str, **params: Any) -> dict[str, Any]:
    """Calls a method of the protocol and returns its result."""
    self._number += 1
    message = {'id': self._number, 'method': method, 'params': params}
    if self._session:
      message['sessionId'] = self._session
    os.write(self._sending, json.dumps(message).encode() + b'\0')
    while True:
      answer = self._read()
      if answer.get('id') == self._number:
        assert 'error' not in answer, (method, answer)
        return answer['result']

  def open(self, path: pathlib.Path, width: int, is_dark: bool = False) -> None:
    """Opens a file in a window of a width, in pixels."""
    self.call(
      'Emulation.setDeviceMetricsOverride',
      width=width,
      height=900,
      deviceScaleFactor=1,
      mobile=width < 600,
    )
    scheme = 'dark' if is_dark else 'light'
    self.call(
      'Emulation.setEmulatedMedia',
      features=[{'name': 'prefers-color-scheme', 'value': scheme}],
    )
    self._events.clear()
    self.call('Page.navigate', url=path.absolute().as_uri())
    while not any(e['method'] == 'Page.loadEventFired' for e in self._events):
      self._read()

  def evaluate(self, expression: str) -> Any:
    """Returns the value of an expression of JavaScript."""
    result = self.call(
      'Runtime.evaluate', expression=expression, returnByValue=True
    )
    assert 'exceptionDetails' not in result, result
    return result['result'].get('value')

  def point_at(self, x: float, y: float, clicks: bool = False) -> None:
    """Moves the mouse to a point of the window, and may click there."""
    for kind in ('mouseMoved', *(('mousePressed', 'mouseReleased') * clicks)):
      self.call(
        'Input.dispatchMouseEvent',
        type=kind,
        x=x,
        y=y,
        button='left' if clicks else 'none',
        clickCount=int(clicks),
      )

  def screenshot(self, path: pathlib.Path, height: int = 0) -> None:
    """Writes a picture of the whole page, or of its upper part, as PNG."""
    size = self.call('Page.getLayoutMetrics')['cssContentSize']
    picture = self.call(
      'Page.captureScreenshot',
      captureBeyondViewport=True,
      clip={
        'x': 0,
        'y': 0,
        'width': size['width'],
        'height': min(height or size['height'], size['height']),
        'scale': 1,
      },
    )
    path.write_bytes(base64.b64decode(picture['data']))

  def _read(self) -> dict[str, Any]:
    """Returns the next message; events are kept, and problems noted."""
    end = time.monotonic() + _LIMIT_SECONDS
    while b'\0' not in self._received:
      ready, _, _ = select.select([self._receiving], [], [], 1)
      if ready:
        content = os.read(self._receiving, 1 << 20)
        assert content, 'The browser has ended.'
        self._received += content
      assert time.monotonic() < end, 'The browser does not answer.'
    message, _, self._received = self._received.partition(b'\0')
    read = json.loads(message)
    if 'method' in read:
      self._events.append(read)
      self._note(read['method'], read.get('params', {}))
    return read

  def _note(self, method: str, params: dict[str, Any]) -> None:
    if method == 'Runtime.exceptionThrown':
      self.problems.append(str(params['exceptionDetails']))
    elif method == 'Log.entryAdded' and params['entry']['level'] == 'error':
      self.problems.append(params['entry']['text'])
    elif method == 'Runtime.consoleAPICalled' and params['type'] == 'error':
      self.problems.append(str(params['args']))


def _pipe() -> tuple[int, int]:
  """Returns a pipe whose ends have high numbers."""
  ends = os.pipe()
  moved = [
    fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, _FIRST_DESCRIPTOR) for end in ends
  ]
  for end in ends:
    os.close(end)
  return moved[0], moved[1]


@contextlib.contextmanager
def start(program: str, folder: pathlib.Path) -> Iterator[Page]:
  """Starts a browser with one page.

  Args:
    program: the path of a Chromium.
    folder: an empty folder for the browser's files.

  Yields:
    The page.
  """
  told, telling = _pipe()
  hearing, heard = _pipe()
  process = subprocess.Popen(
    [
      *(sys.executable, '-S', '-c', _EXECUTE, str(told), str(heard), program),
      *('--headless=new', '--no-sandbox', '--disable-gpu', '--no-first-run'),
      *('--disable-background-networking', '--disable-extensions'),
      *('--disable-dev-shm-usage', '--hide-scrollbars'),
      f'--user-data-dir={folder}',
      '--remote-debugging-pipe',
    ],
    pass_fds=(told, heard),
    stdin=subprocess.DEVNULL,
    stdout=subprocess.DEVNULL,
    stderr=subprocess.DEVNULL,
  )
  os.close(told)
  os.close(heard)
  try:
    yield Page(telling, hearing)
  finally:
    # The browser ends when nobody can tell it anything any more.
    os.close(telling)
    try:
      process.wait(timeout=20)
    except subprocess.TimeoutExpired:
      process.kill()
      process.wait()
    os.close(hearing)
