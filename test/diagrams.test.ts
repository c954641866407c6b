/** The picture of the rooms is the one of the list that `npm run arrows` checks. */
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
// @ts-expect-error the scripts are JavaScript
import { arrowsOf, drawArchitecture } from '../scripts/diagrams.js';

const config = createRequire(import.meta.url)('../.dependency-cruiser.cjs');

describe('the picture of the rooms', () => {
  it('is drawn from the list of arrows (if not: node scripts/diagrams.js)', () => {
    const picture = readFileSync(new URL('../docs/images/diagram-architecture.svg', import.meta.url), 'utf8');
    expect(drawArchitecture(config)).toBe(picture);
  });

  it('has each room once, and draws it above all that it imports', () => {
    const heights = new Map(
      [...drawArchitecture(config).matchAll(/<text x="\d+" y="(\d+)">([a-z]+)<\/text>/g)].map(([, y, name]) => [
        name,
        Number(y),
      ]),
    );
    const src = fileURLToPath(new URL('../src', import.meta.url));
    const rooms = readdirSync(src, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    expect([...heights.keys()].sort()).toEqual(rooms.map(({ name }) => name).sort());
    for (const [room, others] of arrowsOf(config)) {
      for (const other of others) expect(heights.get(room), `${room} → ${other}`).toBeLessThan(heights.get(other)!);
    }
  });
});
