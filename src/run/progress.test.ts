import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import { count, createProgress, duration, figure, type ProgressOptions } from './progress.ts';

function recorded(options: ProgressOptions & { isTTY?: boolean; columns?: number } = {}) {
  let time = 0;
  let text = '';
  const stream = { isTTY: options.isTTY, columns: options.columns ?? 80, write: (part: string) => (text += part) };
  const progress = createProgress({ stream, env: {}, now: () => time, ...options });
  return {
    progress,
    at(ms: number, step: number, metrics?: Record<string, number>) {
      time = ms;
      progress.update(step, metrics);
    },
    text: () => text,
    lines: () => text.split(/[\r\n]+/).filter(Boolean),
    stream,
  };
}

const ESCAPE = '\x1b';

describe('a progress line', () => {
  it('is plain, and rare, where there is no terminal', () => {
    const { at, progress, text } = recorded({ total: 1000, label: 'ppo' });
    for (let step = 0; step <= 250; step++) at(step * 100, step, { return: step / 3 });
    progress.done();
    expect(text().split('\n')).toEqual([
      'ppo  0 %  0/1k  return 0',
      'ppo  10 %  100/1k  10 steps/s  1 min 30 s left  return 33.3',
      'ppo  20 %  200/1k  10 steps/s  1 min 20 s left  return 66.7',
      'ppo  25 %  250/1k  10 steps/s  1 min 15 s left  return 83.3',
      '',
    ]);
  });

  it('has no escapes in a pipe or with NO_COLOR, and is plain on a dumb terminal', () => {
    for (const options of [
      { isTTY: false },
      { isTTY: true, env: { NO_COLOR: '1' } },
      { isTTY: true, env: { TERM: 'dumb' } },
    ]) {
      const { at, progress, text } = recorded({ total: 10, ...options });
      for (let step = 0; step <= 10; step++) at(step * 1000, step);
      progress.done();
      expect(text()).not.toContain(ESCAPE);
      if (options.isTTY === false || options.env?.TERM) expect(text()).not.toContain('\r');
    }
    const colored = recorded({ total: 10, isTTY: true });
    colored.at(0, 5);
    expect(colored.text()).toContain(ESCAPE);
  });

  it('never gets wider than the terminal, and clears what was longer before', () => {
    for (const columns of [1, 2, 10, 30, 50, 80, 120]) {
      const { at, progress, text } = recorded({ total: 1e6, isTTY: true, columns, label: '学习 🙂' });
      at(1000, 10, { 'reward/the_mean_of_everything': -123.456, 'loss\x1b[2J\n': 1e-9, other: Number.NaN });
      at(2000, 20, { a: 1 });
      at(3000, 30, {});
      progress.done();
      const lines = stripVTControlCharacters(text()).split(/\r|\n/);
      for (const line of lines) {
        const wide = [...line.matchAll(/[学习🙂]/gu)].length;
        expect([...line].length + wide).toBeLessThan(Math.max(columns, 2));
      }
      expect(text()).not.toContain('[2J');
    }
    const { at, lines } = recorded({ isTTY: true });
    at(0, 1, { long: 1.2345 });
    at(1000, 2, {});
    expect(lines()[1].length).toBeGreaterThanOrEqual(lines()[0].length - 1);
  });

  it('takes the time left from the recent speed, not from the whole', () => {
    const { at, lines } = recorded({ total: 10_000 });
    for (let s = 0; s <= 100; s++) at(s * 1000, s * 50); // 50 a second, then 5 a second
    for (let s = 1; s <= 60; s++) at((100 + s) * 1000, 5000 + s * 5);
    expect(lines().at(-1)).toContain('5 steps/s  15 min 40 s left');
  });

  it('does not count the steps before a resumed run', () => {
    const { at, lines } = recorded({ total: 1000, from: 900 });
    at(10_000, 910);
    expect(lines()[0]).toBe('91 %  910/1k  1 steps/s  1 min 30 s left');
  });

  it('knows nothing of the end without a total, and says how long it took at the end', () => {
    const unknown = recorded({ unit: 'labels' });
    unknown.at(20_000, 5);
    expect(unknown.lines()).toEqual(['5 labels  0.25 labels/s']);
    const ended = recorded({ total: 10 });
    ended.at(70_000, 10);
    ended.progress.done();
    expect(ended.lines()).toEqual(['100 %  10/10  0.14 steps/s  in 1 min 10 s']);
    const resumed = recorded({ total: 10, from: 9 });
    resumed.at(7000, 10);
    resumed.progress.done(3600);
    expect(resumed.lines().at(-1)).toContain('in 1 h 0 min');
    const stopped = recorded({ total: 10 });
    stopped.at(7000, 9);
    stopped.progress.done();
    expect(stopped.lines().at(-1)).not.toContain(' in ');
  });

  it('shows shares in percent, and is neither at its end nor at its start before it is', () => {
    const { at, progress, lines } = recorded({ total: 1000, shares: ['held-out accuracy'] });
    at(0, 1, { 'held-out accuracy': 0.5 });
    at(10_000, 998, { 'held-out accuracy': 0.9996, loss: 0.5 });
    progress.done();
    expect(lines()[0]).toBe('< 1 %  1/1k  held-out accuracy 50.0 %');
    expect(lines()[1]).toMatch(/^> 99 % {2}998\/1k {2}.* left {2}held-out accuracy > 99\.9 % {2}loss 0\.5$/);
  });

  it('has a bar while the numbers leave room for it', () => {
    const { at, lines } = recorded({ total: 10, isTTY: true, columns: 60, env: { NO_COLOR: '1' } });
    at(0, 5, { loss: 1 });
    at(1000, 6, { loss: 1, 'a metric with a long name': 2, other: 3 });
    at(2000, 7, { loss: 1 });
    expect(lines().map((line) => line.includes('█'))).toEqual([true, false, false]);
  });

  it('prints notes on lines of their own', () => {
    const { at, progress, text } = recorded({ isTTY: true, env: { NO_COLOR: '1' } });
    at(0, 1);
    progress.note('a note');
    progress.done();
    expect(text()).toMatch(/^\r1 steps\r {7}\ra note\n\r1 steps\r1 steps\n$/);
  });
});

describe('numbers for people', () => {
  it('are short', () => {
    expect([0, 7, 0.123, 999, 1000, 12_345, 999_999, 4.5e6, 2e9].map(count)).toEqual([
      '0',
      '7',
      '0.12',
      '999',
      '1k',
      '12.3k',
      '1M',
      '4.5M',
      '2G',
    ]);
    expect([0, -1.23456, 123.4, 0.00012, 54321, Number.NaN, -Infinity].map(figure)).toEqual([
      '0',
      '-1.23',
      '123',
      '1.2e-4',
      '54.3k',
      'NaN',
      '-Infinity',
    ]);
    expect([0, 59.6, 200, 3600, 7530, 86_400 * 3 + 4 * 3600, Infinity].map(duration)).toEqual([
      '0 s',
      '1 min 0 s',
      '3 min 20 s',
      '1 h 0 min',
      '2 h 6 min',
      '3 d 4 h',
      '?',
    ]);
  });
});
