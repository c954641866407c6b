/** Draws the tasks of the environments that come with heed. */
import type { Row } from '../../../data/row.ts';
import { HeedError } from '../../../error.ts';
import { type Random, random } from '../../../random.ts';

/** How many tasks there are, and which. */
export interface TaskOptions {
  /** Seed of the tasks (default: 0). */
  seed?: number;
  /** Tasks to train on (default: 2000). */
  count?: number;
  /** Tasks to evaluate on, none of which is trained on (default: 200). */
  heldOut?: number;
}

/**
 * Different tasks by a seed, the held-out ones first, so that they stay the same whatever the number to train on.
 *
 * @throws HeedError if there are not so many different tasks, or a number is invalid.
 */
export function drawTasks(name: string, one: (draw: Random) => Row, options: TaskOptions = {}) {
  const { seed = 0, count = 2000, heldOut = 200 } = options;
  for (const [what, value] of Object.entries({ count, heldOut })) {
    if (Number.isInteger(value) && value >= 1) continue;
    throw new HeedError(`${name}: expected ${what} to be a whole number of at least 1, got ${value}.`, {
      hint: 'For example: { count: 2000, heldOut: 200 }.',
    });
  }
  const draw = random(seed, name);
  const rows = new Map<string, Row>();
  for (let tries = 0; rows.size < count + heldOut; tries++) {
    if (tries > 100 * (count + heldOut)) {
      throw new HeedError(`The environment "${name}" has fewer than ${count + heldOut} different tasks.`, {
        hint: `Lower count or heldOut: it has about ${rows.size}.`,
      });
    }
    const row = one(draw);
    rows.set(JSON.stringify(row), row);
  }
  const all = [...rows.values()];
  return { tasks: all.slice(heldOut), heldOut: all.slice(0, heldOut) };
}
