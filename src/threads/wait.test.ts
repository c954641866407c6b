import { Worker } from 'node:worker_threads';
import { expect, it } from 'vitest';
import { changed, watchedControl } from './wait.ts';

/** Wakes whoever waits for number 0, without changing it, so often as number 2 says; then makes it 1. */
const caller = `
  const { workerData } = require('node:worker_threads');
  const control = new Int32Array(workerData);
  for (let woken = 0; woken < control[2] && Atomics.load(control, 1) === 0; ) woken += Atomics.notify(control, 0);
  Atomics.store(control, 0, 1);
  Atomics.notify(control, 0);`;

it('sleeps on after a wake-up without a change, and sees the change', async () => {
  const control = new Int32Array(new SharedArrayBuffer(12));
  control[2] = 20;
  const worker = new Worker(caller, { eval: true, workerData: control.buffer });
  const ended = new Promise((resolve) => worker.once('exit', resolve));
  const found = changed(watchedControl(control, 0, 0), 0);
  const number = Atomics.load(control, 0);
  Atomics.store(control, 1, 1); // the caller need not go on
  expect({ found, number }).toEqual({ found: true, number: 1 });
  await ended;
});

it('says so where nothing changes for as long as its patience', () => {
  const control = new Int32Array(new SharedArrayBuffer(4));
  expect(changed(watchedControl(control, 0, 0), 0, 1)).toBe(false);
});
